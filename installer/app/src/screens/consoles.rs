//! The screens on every console of the live system: one installer under tmux, which systemd keeps attached to each (overlays/live/).

use std::fs;
use std::path::Path;
use std::time::Duration;

use sovereign_model::exit::ExitCode;
use sovereign_system::runner::{Cmd, Runner};

use super::ATTENDED;
use crate::consoles::Consoles;
use crate::failure::{Failure, OrFail};
use crate::session::Voice;

/// The unit that runs the installer under tmux, and the consoles with it.
const UNIT: &str = "sovereign-screens.service";
/// What the kernel writes to consoles: of its four figures the first decides (Documentation/admin-guide/sysctl/kernel.rst).
const PRINTK: &str = "/proc/sys/kernel/printk";
/// Emergencies alone. The rest is in its log; on a console it would be painted over the screens.
const QUIET: &str = "1\n";
/// Why the screens ended, where they ended by themselves.
pub const ENDED: &str = "/run/sovereign/screens-ended";
/// How long somebody may sit in front of the screens.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The screens on the consoles. While they are shown nothing else is written there.
pub struct Screens<'a> {
    runner: &'a dyn Runner,
    voice: &'a Voice,
    printk: &'static str,
    shown: bool,
}

impl<'a> Screens<'a> {
    /// They are not shown yet.
    pub const fn of(runner: &'a dyn Runner, voice: &'a Voice) -> Self {
        Self { runner, voice, printk: PRINTK, shown: false }
    }

    /// Whether they are shown.
    pub const fn are_shown(&self) -> bool {
        self.shown
    }

    /// Whether somebody has pressed a key on them.
    pub fn are_attended() -> bool {
        Path::new(ATTENDED).exists()
    }

    /// Gives the consoles to them.
    ///
    /// # Errors
    /// systemd's.
    pub fn show(&mut self) -> Result<(), Failure> {
        self.voice.drain();
        self.voice.use_consoles(Consoles::none());
        // One of an earlier start says nothing about this one.
        let _ = fs::remove_file(ATTENDED);
        let _ = fs::remove_file(ENDED);
        // A kernel that cannot be kept quiet is no reason to show nothing. By itself: each program that is run delays the first frame.
        let _ = fs::write(self.printk, QUIET);
        self.runner.run(&Cmd::new("systemctl", ["start", UNIT])).or_fail(ExitCode::Internal)?;
        self.shown = true;
        Ok(())
    }

    /// Takes the consoles back, if they have them.
    ///
    /// # Errors
    /// systemd's.
    pub fn hide(&mut self) -> Result<(), Failure> {
        if !self.shown {
            return Ok(());
        }
        self.runner.run(&Cmd::new("systemctl", ["stop", UNIT])).or_fail(ExitCode::Internal)?;
        self.taken_back();
        Ok(())
    }

    /// Waits until they end, which no key does: the machine is restarted or switched off, or something broke.
    pub fn wait(&mut self) -> Failure {
        // tmux ends it with its own end.
        let over = Cmd::new("tmux", ["-L", "sovereign", "wait-for", "over"]).timeout(FOR_EVER);
        let ended = self.runner.run(&over);
        self.taken_back();
        // What they had to say when nobody saw it.
        let why = fs::read_to_string(ENDED).map(|why| format!(": {}", why.trim_end())).unwrap_or_default();
        let said = format!("the screens have ended{why}");
        match ended.or_fail(ExitCode::Internal) {
            Ok(_) => Failure::new(ExitCode::Internal, &said),
            Err(failure) => Failure::new(ExitCode::Internal, format!("{said}\n{failure}")),
        }
    }

    fn taken_back(&mut self) {
        self.shown = false;
        self.voice.use_consoles(Consoles::all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovereign_system::testing::Recorder;

    #[test]
    fn the_consoles_change_hands_by_one_unit() {
        let (runner, voice) = (Recorder::new(), Voice::new(Consoles::none()));
        let mut screens = Screens { printk: "/dev/null", ..Screens::of(&runner, &voice) };
        screens.hide().unwrap();
        screens.show().unwrap();
        assert!(screens.are_shown());
        screens.hide().unwrap();
        assert!(!screens.are_shown());
        let lines = ["systemctl start sovereign-screens.service", "systemctl stop sovereign-screens.service"];
        assert_eq!(runner.lines(), lines);
        screens.show().unwrap();
        assert!(screens.wait().to_string().contains("the screens have ended"));
        assert_eq!(runner.lines()[3], "tmux -L sovereign wait-for over");
    }
}
