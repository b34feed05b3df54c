//! A technician at the serial line: reads the installer's screens there and types, as slowly and as often as the line needs.

use std::time::Duration;

use crate::console::{Console, Pattern, re};
use crate::vm::Vm;

/// How long a screen may take to answer a key, on a slow line of a loaded host.
const ANSWER: Duration = Duration::from_secs(60);
/// How long the answer to a key that may have been lost is waited for before it is pressed again.
const AGAIN: Duration = Duration::from_secs(20);
/// How often something is tried.
const ATTEMPTS: usize = 40;

/// Ctrl-U: empties a field.
const EMPTY: &str = "\x15";
/// Ctrl-R: shows what is typed into secret fields.
const REVEAL: &str = "\x12";

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Technician<'vm> {
    vm: &'vm Vm,
}

/// What is typed into the screens of a machine without a site file.
#[derive(Debug, Clone, Copy)]
pub struct Answers<'a> {
    /// `network.address`, `network.gateway`, `network.dns`.
    pub network: [&'a str; 3],
    /// Name of the site, full name of the host, where mail goes, and an SSH key.
    pub admin: [&'a str; 4],
    /// Passphrase of the disks.
    pub passphrase: &'a str,
    /// Whether a recovery key is made.
    pub recovery_key: bool,
}

impl<'vm> Technician<'vm> {
    /// Sits down at the serial console of a machine that shows the screens.
    pub fn at(vm: &'vm Vm) -> Self {
        Self { vm }
    }

    fn console(self) -> &'vm Console {
        self.vm.console()
    }

    /// Waits until the screen of this name is shown.
    #[track_caller]
    pub fn sees(self, pattern: impl Into<Pattern>, timeout: Duration) -> String {
        self.console().wait_for_repainted(pattern, timeout)
    }

    /// Presses `key` until the screen shows `pattern`.
    #[track_caller]
    pub fn presses(self, key: &str, pattern: impl Into<Pattern>) -> String {
        let pattern = pattern.into();
        for _ in 0..ATTEMPTS {
            self.console().send(key);
            if let Some(screen) = self.shown(&pattern) {
                return screen;
            }
        }
        panic!("the screen never showed {pattern} for the key {key:?}\n{}", self.console().shown());
    }

    /// Presses `key` on the row with this label until the screen shows `pattern`: on a bad line the focus may have moved, and a key that is meant
    /// for a choice is text in a field. `empty`: no field of this screen is to have a text, so what got into one is removed first.
    #[track_caller]
    pub fn presses_on(self, label: &str, key: &str, pattern: impl Into<Pattern>, empty: bool) -> String {
        let pattern = pattern.into();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 && empty {
                self.console().send(EMPTY);
            }
            self.focuses(label);
            self.console().send(key);
            if let Some(screen) = self.shown(&pattern) {
                return screen;
            }
        }
        panic!("the screen never showed {pattern} for the key {key:?} on {label}\n{}", self.console().shown());
    }

    /// Presses a key of the keyboard at the screen until the line shows `pattern`: a console that is only being attached hears nothing.
    #[track_caller]
    pub fn presses_at_screen(self, key: &str, pattern: impl Into<Pattern>) -> String {
        let pattern = pattern.into();
        for _ in 0..ATTEMPTS / 4 {
            self.vm.press(&[key]);
            if let Some(screen) = self.shown(&pattern) {
                return screen;
            }
        }
        self.vm.screenshot("no-key-at-the-screen");
        panic!("the line never showed {pattern} for the key {key:?} at the screen\n{}", self.console().shown());
    }

    /// What the screen shows, if `pattern` is there in time, painted anew if it has to be.
    fn shown(self, pattern: &Pattern) -> Option<String> {
        if let Some(screen) = self.console().shows(pattern, AGAIN) {
            return Some(screen);
        }
        self.console().send("\x0c");
        self.console().shows(pattern, AGAIN)
    }

    /// Moves the focus to the row with this label.
    #[track_caller]
    pub fn focuses(self, label: &str) {
        self.focuses_on(&re(&format!("^ > {}", regex::escape(label))));
    }

    /// Moves the focus until the screen shows `focused`.
    #[track_caller]
    pub fn focuses_on(self, focused: &Pattern) {
        for attempt in 0..ATTEMPTS {
            if self.console().shows(focused, Duration::from_millis(500)).is_some() {
                return;
            }
            // The row may have had the focus, and have been garbled on its way.
            if attempt % 5 == 4 && self.shown(focused).is_some() {
                return;
            }
            let before = self.console().screen();
            self.console().send("\t");
            self.console().changes_from(&before, AGAIN);
        }
        panic!("nothing like {focused} got the focus\n{}", self.console().shown());
    }

    /// Types into the field with this label, and reads what arrived there.
    #[track_caller]
    pub fn types(self, label: &str, text: &str) {
        self.focuses(label);
        // The field shows the end of what does not fit.
        let seen: String = text.chars().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect();
        let there = re(&format!(r"^ > {}.*[\[<]?{}_*[\]>]?", regex::escape(label), regex::escape(&seen)));
        for _ in 0..ATTEMPTS {
            self.console().send(EMPTY);
            for character in text.chars() {
                self.console().send(character.encode_utf8(&mut [0; 4]));
                // What a person types, and a line of 9600 bit/s shows.
                std::thread::sleep(Duration::from_millis(20));
            }
            if self.shown(&there).is_some() {
                return;
            }
        }
        panic!("{text:?} never arrived in the field {label:?}\n{}", self.console().shown());
    }

    /// Answers every screen of the reference machine up to the summary, and returns what that shows first.
    #[track_caller]
    pub fn answers(self, answers: &Answers<'_>, first_frame: Duration) -> String {
        self.sees("Welcome to the Sovereign Appliance", first_frame);
        self.presses("n", re("Hardware +2/8"));
        self.sees("Processor", ANSWER * 3);
        self.presses("n", re("Disks +3/8"));
        self.sees("HDD: 4 disks, RAID 10", ANSWER);
        self.presses("n", re("Capacity +4/8"));
        self.presses_on("Virtual machines", "l", "(*) none", true);
        self.presses_on("Virtual machines", "n", re("Encryption +5/8"), true);
        self.presses(REVEAL, "Ctrl-R hide");
        self.types("Passphrase", answers.passphrase);
        self.types("The same again", answers.passphrase);
        if answers.recovery_key {
            self.presses_on("Recovery key", "l", "A recovery key is made.", false);
        }
        self.presses_on("Recovery key", "n", re("Network +6/8"), false);
        let [address, gateway, dns] = answers.network;
        self.types("Address  ", address);
        self.types("Gateway", gateway);
        self.types("Name servers", dns);
        self.presses_on("Bridges", "n", re("Site and admin +7/8"), false);
        for (label, text) in
            ["Name of the site", "Full name of the host", "Mail goes to", "SSH key 1"].into_iter().zip(answers.admin)
        {
            self.types(label, text);
        }
        self.focuses_on(&re(r"^ > +\[> Look for keys"));
        self.presses("n", re("Summary +8/8"));
        self.sees("6 disks will be erased", ANSWER)
    }

    /// Agrees to the plan by typing the word of its first disk.
    #[track_caller]
    pub fn agrees(self, word: &str) {
        self.presses("i", "Everything on these disks will be destroyed");
        for _ in 0..ATTEMPTS {
            self.console().send(EMPTY);
            self.console().send(word);
            if self.shown(&re(&format!(r"\[{word}_+\]"))).is_some() {
                break;
            }
        }
        self.presses("\t", "[> No, go back <]");
        self.presses("\t", "[> Erase the disks and install <]");
        self.presses("\r", re("Installation *$"));
    }

    /// Presses the button of this name below the others.
    #[track_caller]
    pub fn pushes(self, button: &str) {
        self.focuses_on(&format!("[> {button} <]").as_str().into());
        self.console().send("\r");
    }

    /// Has the recovery sheet written onto the answer medium.
    #[track_caller]
    pub fn writes_the_sheet(self) {
        self.pushes("Write the sheet");
        self.sees("The recovery sheet is written", ANSWER);
    }

    /// Waits until the machine is installed.
    #[track_caller]
    pub fn waits_installed(self, timeout: Duration) -> String {
        self.console().wait_for_repainted(re(r" is installed, in \d+:\d\d"), timeout)
    }
}
