//! GRUB's configuration files on the medium.

use crate::edition::Edition;

/// What the menu is made from.
pub struct Menu<'a> {
    /// The edition: its product and label are in every title.
    pub edition: &'a Edition,
    /// Product version.
    pub version: &'a str,
    /// Identity of the build; the kernel is told which medium to look for.
    pub build_id: &'a str,
}

/// An entry that starts the kernel.
struct Entry {
    key: char,
    title: &'static str,
    mode: &'static str,
    /// What distinguishes it from the first entry of its mode: its identifier, and the word on the kernel's command line that asks for it.
    option: Option<(&'static str, &'static str)>,
    /// `None`: the screen. The kernel writes its own messages to all consoles it is given, and /dev/console is the last.
    serial: Option<&'static str>,
}

impl Entry {
    const fn new(key: char, title: &'static str, mode: &'static str) -> Self {
        Self { key, title, mode, option: None, serial: None }
    }

    const fn on(self, port: &'static str) -> Self {
        Self { serial: Some(port), ..self }
    }

    const fn with(self, id: &'static str, word: &'static str) -> Self {
        Self { option: Some((id, word)), ..self }
    }
}

const ENTRIES: [Entry; 9] = [
    Entry::new('i', "Install", "install"),
    Entry::new('s', "Install on serial console ttyS0", "install").on("ttyS0"),
    Entry::new('t', "Install on serial console ttyS1", "install").on("ttyS1"),
    Entry::new('a', "Install, screens in ASCII, no colour", "install").with("ascii", "sovereign.ascii"),
    Entry::new('h', "Install, screens over SSH too", "install").with("ssh", "sovereign.ssh"),
    Entry::new('r', "Rescue shell", "rescue"),
    Entry::new('u', "Rescue shell on serial console ttyS0", "rescue").on("ttyS0"),
    Entry::new('m', "Check this medium", "check"),
    Entry::new('k', "Check this medium on serial console ttyS0", "check").on("ttyS0"),
];

/// Boots what is installed: the ESP of the machine under UEFI, the disk that ESP is on under BIOS; without one, whatever the firmware
/// tries next.
const BOOT_FROM_DISK: &str = "menuentry 'Boot from disk (d)' --hotkey=d --id disk {
    set found=
    search --no-floppy --file --set=found /sovereign/install.json
    if [ -z \"$found\" ]; then
        echo 'No installed system found; going back to the firmware ...'
        exit
    fi
    if [ \"$grub_platform\" = efi ]; then
        set root=\"$found\"
        chainloader /EFI/BOOT/BOOTX64.EFI
    else
        regexp --set=1:disk '^([^,]+),' \"$found\"
        set root=\"$disk\"
        chainloader +1
    fi
}
";

impl Menu<'_> {
    /// The boot menu, /boot/grub/grub.cfg. Titles fit the 76 columns GRUB has on a serial console.
    pub fn render(&self) -> String {
        let mut text = format!(
            "# {product} {version}, {label}: boot menu of the installation medium.\n\
             set timeout=5\nset timeout_style=menu\nset default=install\n\
             # Firmware of UEFI machines shows the menu on the serial console by itself; in a BIOS that is GRUB's work.\n\
             if [ \"$grub_platform\" = pc ]; then\n    \
                 if serial --unit=0 --speed=115200; then\n        \
                     terminal_input console serial\n        terminal_output console serial\n    fi\nfi\n\n",
            product = self.edition.product,
            version = self.version,
            label = self.edition.label,
        );
        for entry in &ENTRIES {
            text.push_str(&self.entry(entry));
        }
        text.push_str(BOOT_FROM_DISK);
        text
    }

    fn entry(&self, entry: &Entry) -> String {
        // lsm=: without the security modules the live system has no policy for. systemd takes seconds to load its BPF programs.
        let console = match entry.serial {
            None => "console=tty0".to_owned(),
            Some(port) => format!("console=tty0 console={port},115200"),
        };
        let suffix = entry.serial.or(entry.option.map(|(id, _)| id));
        let id = suffix.map_or_else(|| entry.mode.to_owned(), |suffix| format!("{}-{suffix}", entry.mode));
        let word = entry.option.map(|(_, word)| format!("{word} ")).unwrap_or_default();
        format!(
            "menuentry '{title} ({key}) - {label}' --hotkey={key} --id {id} {{\n    \
                 echo 'Loading the kernel ...'\n    \
                 linux /boot/vmlinuz sovereign.medium={build} sovereign.mode={mode} {word}{console} lsm=lockdown,capability,yama quiet loglevel=3\n    \
                 initrd /boot/initrd.img\n}}\n",
            title = entry.title,
            label = self.edition.label,
            key = entry.key,
            build = self.build_id,
            mode = entry.mode,
        )
    }

    /// The first configuration GRUB reads, from its own image or from the EFI system partition: finds the medium of this build, whatever
    /// other media are attached.
    pub fn early(&self) -> String {
        format!("search --no-floppy --file --set=root /.disk/id/{}\nset prefix=($root)/boot/grub\n", self.build_id)
    }

    /// `early`, then the menu: for GRUB images that do not go on by themselves.
    pub fn early_and_menu(&self) -> String {
        format!("{}configfile $prefix/grub.cfg\n", self.early())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_menu_of_the_rehearsal() {
        let edition = crate::fixture::rehearsal();
        let menu = Menu { edition: &edition, version: "1.2.3", build_id: "11111111-2222-8333-8444-555555555555" };
        insta::assert_snapshot!(menu.render());
    }

    #[test]
    fn keys_are_used_once_and_none_is_grubs_own() {
        // GRUB keeps `c` and `e` for its command line and its editor, and on a terminal without drawn arrows `v` for the next entry:
        // it never looks for an entry of these keys.
        let mut keys: Vec<char> = ENTRIES.iter().map(|entry| entry.key).chain(['d', 'c', 'e', 'v']).collect();
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}
