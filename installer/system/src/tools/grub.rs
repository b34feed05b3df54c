//! GRUB 2.12 in the target, for UEFI and for BIOS.

use std::path::Path;
use std::time::Duration;

use crate::runner::{Cmd, RunError, Runner};

const TIMEOUT: Duration = Duration::from_secs(300);

/// Installs shim and Debian's signed GRUB on the EFI system partition mounted at `esp` (as the target sees it), in the removable
/// path too. NVRAM is left alone.
///
/// # Errors
/// [`RunError`].
pub fn install_efi(runner: &dyn Runner, target: &Path, esp: &str) -> Result<(), RunError> {
    let esp = format!("--efi-directory={esp}");
    let args = [
        "grub-install",
        "--target=x86_64-efi",
        "--uefi-secure-boot",
        "--no-nvram",
        "--force-extra-removable",
        "--bootloader-id=debian",
        &esp,
    ];
    runner.run(&in_target(target, &args)).map(drop)
}

/// Installs boot code and core image for BIOS on a whole disk.
///
/// # Errors
/// [`RunError`].
pub fn install_bios(runner: &dyn Runner, target: &Path, disk: &str) -> Result<(), RunError> {
    runner.run(&in_target(target, &["grub-install", "--target=i386-pc", disk])).map(drop)
}

/// Makes GRUB's core image for BIOS of these modules, beside those in /boot/grub; it looks for the rest of itself below `prefix`.
///
/// # Errors
/// [`RunError`].
pub fn core_image(runner: &dyn Runner, target: &Path, prefix: &str, modules: &[&str]) -> Result<(), RunError> {
    let prefix = format!("--prefix={prefix}");
    let head = ["grub-mkimage", "--format=i386-pc", "--output=/boot/grub/i386-pc/core.img", &prefix];
    let args: Vec<&str> = head.into_iter().chain(modules.iter().copied()).collect();
    runner.run(&in_target(target, &args)).map(drop)
}

/// Writes grub.cfg.
///
/// # Errors
/// [`RunError`].
pub fn update(runner: &dyn Runner, target: &Path) -> Result<(), RunError> {
    runner.run(&in_target(target, &["update-grub"])).map(drop)
}

/// A program of the target, run in the target.
pub fn in_target(target: &Path, args: &[&str]) -> Cmd {
    let target = target.to_string_lossy();
    Cmd::new("chroot", std::iter::once(target.as_ref()).chain(args.iter().copied())).timeout(TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn whole_commands() {
        let runner = Recorder::new();
        let target = Path::new("/target");
        install_efi(&runner, target, "/boot/efi").unwrap();
        install_bios(&runner, target, "/dev/nvme1n1").unwrap();
        update(&runner, target).unwrap();
        core_image(&runner, target, "(lvm/guest-root)/boot/grub", &["lvm", "ext2"]).unwrap();
        assert_eq!(
            runner.lines(),
            [
                "chroot /target grub-install --target=x86_64-efi --uefi-secure-boot --no-nvram --force-extra-removable \
                 --bootloader-id=debian --efi-directory=/boot/efi",
                "chroot /target grub-install --target=i386-pc /dev/nvme1n1",
                "chroot /target update-grub",
                "chroot /target grub-mkimage --format=i386-pc --output=/boot/grub/i386-pc/core.img \
                 '--prefix=(lvm/guest-root)/boot/grub' lvm ext2",
            ]
        );
    }
}
