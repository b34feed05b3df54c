//! How the machine was booted, from /sys/firmware/efi.

use sovereign_model::inventory::Firmware;

use super::capture::{EFI, SECURE_BOOT};
use super::captures::Captures;

/// UEFI where the kernel shows anything of it. The variable's file is four bytes of attributes and one byte of value
/// (Documentation/filesystems/efivarfs.rst); it cannot be read while efivarfs is not mounted.
pub(super) fn parse(captures: &Captures) -> Firmware {
    if !captures.iter().any(|(path, _)| path.starts_with(EFI)) {
        return Firmware::Bios;
    }
    let secure_boot = captures.get(SECURE_BOOT).and_then(|hex| match (hex.trim().len(), hex.trim().get(8..)) {
        (10, Some("00")) => Some(false),
        (10, Some("01")) => Some(true),
        _ => None,
    });
    Firmware::Uefi { secure_boot }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bios_uefi_and_secure_boot_are_told_apart() {
        let mut captures = Captures::default();
        assert_eq!(parse(&captures), Firmware::Bios);
        captures.insert("sys/firmware/efi/fw_platform_size", "64\n");
        assert_eq!(parse(&captures), Firmware::Uefi { secure_boot: None });
        for (hex, wanted) in
            [("0600000001\n", Some(true)), ("0600000000\n", Some(false)), ("0600000002\n", None), ("01\n", None)]
        {
            captures.insert(SECURE_BOOT, hex);
            assert_eq!(parse(&captures), Firmware::Uefi { secure_boot: wanted }, "{hex}");
        }
    }
}
