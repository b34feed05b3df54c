//! The image builder's `write`, run in a micro-VM with real disks: a stick gets the image, and nothing else gets anything.

use std::time::Duration;

use sovereign_qemu_tests::boot::{micro, micro_shell};
use sovereign_qemu_tests::words::EXIT_BAD_INPUT;
use sovereign_qemu_tests::{AnswerMedium, Bus, Disk, Firmware, Lab, Machine, host};

/// Writing the image and reading it back, or a refusal.
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);

/// `sovereign-image write` puts the image on a removable stick and reads it back; a disk that is not removable and a stick in use are
/// refused and not written to.
#[test]
fn an_image_is_written_to_a_stick_and_to_nothing_else() {
    let lab = Lab::new("write_stick");
    let tool = std::fs::read(host::image_builder()).unwrap();
    let medium = AnswerMedium::fat(&lab, "tool", &[("tool", &tool)]);
    let stick = Disk::new(Bus::Usb, "BLANK0001", 1 << 30).removable();
    let mut machine = Machine::new(&lab, Firmware::Uefi).disk(Disk::reference_nvme(1)).disk(stick);
    machine.answer(&medium);
    let vm = micro(&mut machine, "write");
    let shell = micro_shell(&vm);
    shell.ok("mkdir /run/tool && mount -o ro /dev/disk/by-label/SOVEREIGN /run/tool && install /run/tool/tool /run/sovereign-image && \
         umount /run/tool && dd if=/dev/sr0 of=/run/image.iso bs=1M status=none");
    let stick = shell.ok("lsblk -dnro PATH,SERIAL | awk '/BLANK0001/ { print $1 }'");
    let stick = stick.trim();
    let write = |device: &str| {
        shell.run_within(&format!("/run/sovereign-image write /run/image.iso --device {device} 2>&1"), WRITE_TIMEOUT)
    };

    let refused = write("/dev/nvme0n1");
    assert_eq!(refused.status, EXIT_BAD_INPUT, "{}", refused.stdout);
    assert!(refused.stdout.contains("not removable") && refused.stdout.contains("NVME0001"), "{}", refused.stdout);
    assert_eq!(vm.disks_written(), Vec::new());

    shell.ok(&format!("mkfs.ext4 -q {stick} && mount {stick} /mnt"));
    let refused = write(stick);
    assert_eq!(refused.status, EXIT_BAD_INPUT, "{}", refused.stdout);
    assert!(refused.stdout.contains("in use") && refused.stdout.contains("/mnt"), "{}", refused.stdout);
    shell.ok("umount /mnt");

    let done = write(stick);
    assert_eq!(done.status, 0, "{}", done.stdout);
    shell.ok(&format!("cmp -n $(stat -c %s /run/image.iso) /run/image.iso {stick}"));
    assert!(vm.disks_written().iter().all(|(disk, _)| disk == "BLANK0001"), "{:?}", vm.disks_written());
}
