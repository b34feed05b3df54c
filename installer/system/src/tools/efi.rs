//! efibootmgr 18: boot entries in NVRAM. Always best effort: the removable path boots without them.

use crate::runner::{Cmd, RunError, Runner};

/// shim in the product's folder of an EFI system partition.
const LOADER: &str = r"\EFI\debian\shimx64.efi";

/// Makes a boot entry for the EFI system partition `partition` of `disk`, in place of entries of the same label.
///
/// # Errors
/// [`RunError`]: NVRAM is full, read-only or not there.
pub fn add_entry(runner: &dyn Runner, disk: &str, partition: u32, label: &str) -> Result<(), RunError> {
    let listed = runner.run(&Cmd::new("efibootmgr", [""; 0]))?;
    for number in entries_with_label(&listed.stdout, label) {
        runner.run(&Cmd::new("efibootmgr", ["--quiet", "--bootnum", &number, "--delete-bootnum"]))?;
    }
    let partition = partition.to_string();
    let args = ["--quiet", "--create", "--disk", disk, "--part", &partition, "--label", label, "--loader", LOADER];
    runner.run(&Cmd::new("efibootmgr", args)).map(drop)
}

/// Numbers of entries with this label, from efibootmgr 18: `Boot0003* LABEL<tab>HD(..)`.
fn entries_with_label(text: &str, label: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let (number, rest) = line.strip_prefix("Boot")?.split_at_checked(4)?;
            let name = rest.strip_prefix(['*', ' '])?.trim_start().split('\t').next()?;
            (number.bytes().all(|b| b.is_ascii_hexdigit()) && name == label).then(|| number.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn an_old_entry_of_the_same_label_is_replaced() {
        let list = "BootCurrent: 0001\nTimeout: 0 seconds\nBootOrder: 0001,0000\nBoot0000* UiApp\tFvVol(..)\n\
            Boot0003* Sovereign disk 1\tHD(2,GPT,..)/\\EFI\\debian\\shimx64.efi\nBoot0004  Sovereign disk 10\tHD(..)\n";
        let runner = Recorder::new().prints("efibootmgr", list);
        add_entry(&runner, "/dev/nvme0n1", 2, "Sovereign disk 1").unwrap();
        assert_eq!(
            runner.lines(),
            [
                "efibootmgr",
                "efibootmgr --quiet --bootnum 0003 --delete-bootnum",
                "efibootmgr --quiet --create --disk /dev/nvme0n1 --part 2 --label 'Sovereign disk 1' --loader \
                 '\\EFI\\debian\\shimx64.efi'",
            ]
        );
    }
}
