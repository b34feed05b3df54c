//! GRUB on a guest's disk, for UEFI and for BIOS. What `grub-install` and `update-grub` would find out by looking at every device of the
//! host is known here: the root volume has one name in every guest. A minute under emulation becomes seconds; the guest's own package
//! operations run both programs later.

use std::fs;
use std::path::Path;

use sovereign_engine::StepError;
use sovereign_system::tools::grub;
use uuid::Uuid;

use super::disk::{BIOS_BOOT, BIOS_START};
use super::{EFI_MOUNT, GROUP, ROOT};
use crate::bios;
use crate::context::Context;
use crate::fail::OrStep;
use crate::files::{self, PUBLIC};

/// Modules of GRUB for BIOS, in the guest.
const MODULES: &str = "usr/lib/grub/i386-pc";
/// Where GRUB's programs keep them beside the menu.
const INSTALLED: &str = "boot/grub/i386-pc";
/// What GRUB's core image for BIOS needs to find the rest of it.
const CORE_MODULES: [&str; 4] = ["biosdisk", "part_gpt", "lvm", "ext2"];
/// What the firmware starts: shim in the removable path, and what it looks for beside itself; the same in Debian's own folder, which the
/// signed GRUB reads its first words from.
const LOADERS: [(&str, &str); 7] = [
    ("usr/lib/shim/shimx64.efi.signed", "EFI/BOOT/BOOTX64.EFI"),
    ("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "EFI/BOOT/grubx64.efi"),
    ("usr/lib/shim/mmx64.efi.signed", "EFI/BOOT/mmx64.efi"),
    ("usr/lib/shim/shimx64.efi.signed", "EFI/debian/shimx64.efi"),
    ("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "EFI/debian/grubx64.efi"),
    ("usr/lib/shim/mmx64.efi.signed", "EFI/debian/mmx64.efi"),
    ("usr/lib/shim/BOOTX64.CSV", "EFI/debian/BOOTX64.CSV"),
];
/// The guest's settings for GRUB; what it says of the kernel's command line is taken from there.
const SETTINGS: &str = "etc/default/grub.d/sovereign.cfg";

/// Installs both, and the menu for the kernel `kernel`. The guest is mounted at `folder`, its disk is `device`, and `root` is the UUID of its
/// root file system.
///
/// # Errors
/// A file is missing in the guest, or GRUB's programs refuse.
pub fn install(context: &Context, folder: &Path, device: &str, root: &Uuid, kernel: &str) -> Result<(), StepError> {
    let efi = folder.join(EFI_MOUNT.trim_start_matches('/'));
    for (from, to) in LOADERS {
        copy(&folder.join(from), &efi.join(to))?;
    }
    files::write(&efi.join("EFI/debian/grub.cfg"), first_words(root).as_bytes(), PUBLIC)?;
    let settings = files::read(&folder.join(SETTINGS))?;
    let arguments = setting(&settings, "GRUB_CMDLINE_LINUX").unwrap_or_default();
    files::write(&folder.join("boot/grub/grub.cfg"), menu(kernel, arguments).as_bytes(), 0o600)?;

    let modules = folder.join(MODULES);
    let installed = folder.join(INSTALLED);
    let what = format!("cannot read {}", modules.display());
    for entry in fs::read_dir(&modules).or_step(&what)? {
        let path = entry.or_step(&what)?.path();
        let wanted = path.extension().is_some_and(|end| end == "mod" || end == "lst") || path.ends_with("boot.img");
        if let Some(name) = path.file_name().filter(|_| wanted) {
            copy(&path, &installed.join(name))?;
        }
    }
    let prefix = format!("(lvm/{GROUP}-{ROOT})/boot/grub");
    grub::core_image(context.runner.as_ref(), folder, &prefix, &CORE_MODULES)
        .or_step("cannot make the guest's GRUB for BIOS")?;
    let read = |name: &str| {
        let path = installed.join(name);
        fs::read(&path).or_step(&format!("cannot read {}", path.display()))
    };
    bios::write(device, &read("boot.img")?, &read("core.img")?, BIOS_START.get(), BIOS_BOOT.get())
        .or_step_on("cannot install GRUB for BIOS in the guest", device)
}

fn copy(from: &Path, to: &Path) -> Result<(), StepError> {
    let copied = || {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(from, to)
    };
    copied().map(drop).or_step(&format!("cannot copy {} to {}", from.display(), to.display()))
}

/// What the signed GRUB reads first, as `grub-install` writes it: where its menu is.
fn first_words(root: &Uuid) -> String {
    format!("search.fs_uuid {root} root\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n")
}

/// The value of a setting in a file of shell variables: `KEY="value"`.
fn setting<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(|value| value.trim_matches('"'))
}

fn menu(kernel: &str, arguments: &str) -> String {
    format!(
        "# Written by the installer. The next update-grub writes its own in its place.\n\
         serial --unit=0 --speed=115200\nterminal_input console serial\nterminal_output console serial\nset timeout=1\n\
         menuentry \"Debian\" {{\n    linux /boot/vmlinuz-{kernel} root=/dev/mapper/{GROUP}-{ROOT} ro {arguments}\n    \
         initrd /boot/initrd.img-{kernel}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_menu_starts_the_guests_kernel_with_its_settings() {
        let settings =
            "# A comment\nGRUB_CMDLINE_LINUX_DEFAULT=\"\"\nGRUB_CMDLINE_LINUX=\"console=tty0 console=ttyS0,115200\"\n";
        let arguments = setting(settings, "GRUB_CMDLINE_LINUX").unwrap();
        insta::assert_snapshot!(menu("6.12.1-cloud-amd64", arguments));
        assert_eq!(setting(settings, "GRUB_CMDLINE"), None);
        assert!(first_words(&Uuid::nil()).starts_with("search.fs_uuid 00000000-0000-0000-0000-000000000000 root\n"));
    }
}
