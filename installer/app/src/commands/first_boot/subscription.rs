//! Registers the Proxmox subscription key that came with the answers, once, and erases it.

use sovereign_model::installed::SUBSCRIPTION_KEY;
use sovereign_system::runner::Cmd;
use zeroize::Zeroizing;

use super::{Machine, secret};
use crate::findings::{Finding, State};

/// Runs Proxmox's own program with the key taken from standard input: as an argument every process could read it.
const REGISTER: &str = "chomp(my $key = <STDIN>); @ARGV = ('set', $key); do '/usr/bin/pvesubscription'; die $@ if $@;";

/// Registers the key, where there is one.
pub(super) fn act(machine: &Machine<'_>) -> Option<Finding> {
    let what = "subscription".to_owned();
    let key = match secret::read(machine, SUBSCRIPTION_KEY) {
        Ok(key) => key?,
        Err(error) => return Some(Finding { what, state: State::Missing, detail: error }),
    };
    let line = Zeroizing::new([key.as_slice(), b"\n"].concat());
    let cmd = Cmd::new("perl", ["-e", REGISTER]).secret(&line);
    Some(match machine.runner.run(&cmd) {
        Ok(_) => {
            secret::erase(machine, SUBSCRIPTION_KEY);
            Finding { what, state: State::Ok, detail: "registered".to_owned() }
        }
        // It needs Proxmox's shop, so a machine without a way there tries again at its next start.
        Err(error) => Finding { what, state: State::Degraded, detail: crate::failure::chain(&error) },
    })
}
