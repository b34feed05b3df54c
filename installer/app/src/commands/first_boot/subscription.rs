//! Registers the Proxmox subscription key that came with the answers, once, and erases it.

use sovereign_model::installed::SUBSCRIPTION_KEY;
use sovereign_system::runner::Cmd;
use zeroize::Zeroizing;

use super::{Machine, secret};
use crate::findings::{Finding, State};

/// Runs Proxmox's own program with the key taken from standard input: as an argument every process could read it.
/// `do` says in `$@` what the program died of and in `$!` why it could not be read; a program that did its work has ended by then.
const REGISTER: &str = "chomp(my $key = <STDIN>); @ARGV = ('set', $key); my $done = do '/usr/bin/pvesubscription'; \
                        die $@ if $@; die \"/usr/bin/pvesubscription: $!\\n\" unless defined $done;";

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

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use sovereign_system::runner::{Host, Runner};
    use sovereign_system::testing::Recorder;

    use super::*;
    use crate::commands::first_boot::tests::{plan, write};

    fn registered(runner: &Recorder) -> (Option<Finding>, bool) {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), SUBSCRIPTION_KEY, "pve2c-0123456789\n");
        let plan = plan();
        let machine = Machine { root: root.path().to_owned(), runner, plan: &plan, patience: Duration::ZERO };
        let finding = act(&machine);
        (finding, root.path().join(&SUBSCRIPTION_KEY[1..]).exists())
    }

    #[test]
    fn the_key_travels_on_standard_input_and_is_erased_once_it_was_taken() {
        let runner = Recorder::new();
        let (finding, left) = registered(&runner);
        assert_eq!((finding.unwrap().state, left), (State::Ok, false));
        assert_eq!(runner.input_of("perl").unwrap(), b"pve2c-0123456789\n");
        assert!(runner.lines().iter().all(|line| !line.contains("pve2c")), "{:?}", runner.lines());
    }

    #[test]
    fn a_key_that_was_not_taken_stays_for_the_next_start() {
        let (finding, left) = registered(&Recorder::new().fails("perl", 2, "500 no route to host"));
        assert_eq!((finding.unwrap().state, left), (State::Degraded, true));
    }

    /// A program in the place of Proxmox's writes down its arguments, and what other processes see of them.
    #[test]
    fn the_program_gets_the_key_as_its_argument_and_no_command_line_shows_it() {
        let folder = tempfile::tempdir().unwrap();
        let (program, seen) = (folder.path().join("pvesubscription"), folder.path().join("seen"));
        let text = format!(
            "open(my $in, '<', '/proc/self/cmdline'); open(my $out, '>', '{}');\n\
             print $out \"@ARGV\\n\", join(' ', map {{ split /\\0/ }} <$in>); close $out; 1;\n",
            seen.display()
        );
        std::fs::write(&program, text).unwrap();
        let wrapper = REGISTER.replace("/usr/bin/pvesubscription", program.to_str().unwrap());
        let cmd = Cmd::new("perl", ["-e", &wrapper]).secret(b"pve2c-0123456789\n");
        Host.run(&cmd).unwrap();
        let seen = std::fs::read_to_string(seen).unwrap();
        let (arguments, command_line) = seen.split_once('\n').unwrap();
        assert_eq!(arguments, "set pve2c-0123456789");
        assert!(command_line.starts_with("perl -e chomp") && !command_line.contains("pve2c"), "{command_line}");
    }

    #[test]
    fn without_proxmoxs_program_nothing_counts_as_registered() {
        assert!(
            !std::path::Path::new("/usr/bin/pvesubscription").exists(),
            "this test needs a host without Proxmox VE"
        );
        let status = Command::new("perl").args(["-e", REGISTER]).stdin(Stdio::null()).stderr(Stdio::null()).status();
        assert!(!status.unwrap().success());
    }
}
