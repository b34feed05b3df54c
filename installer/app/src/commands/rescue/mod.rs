//! `rescue`: finds an installed system on the disks of this machine, starts what it stands on, and mounts it.

mod person;
mod stack;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use sovereign_model::exit::ExitCode;
use sovereign_system::at_terminal;
use sovereign_system::runner::{Cmd, Host, Runner};
use sovereign_system::tools::holders::{self, Graph};
use sovereign_system::tools::{blkid, keyboard, lvm, mount, udev};

use crate::cli::Rescue;
use crate::failure::{Failure, OrFail};

use person::{Person, Terminal};
use stack::{Places, Stack, is_ours};

/// The terminal at which the passphrase is asked for.
const TERMINAL: &str = "/dev/tty";

pub fn run(args: &Rescue) -> Result<ExitCode, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new(ExitCode::BadInput, "this needs root; nothing was touched"));
    }
    if args.unmount {
        unmount(&Host, &args.target)?;
        super::print("everything is unmounted, closed and stopped")?;
        return Ok(ExitCode::Done);
    }
    if let Some(layout) = args.keyboard.as_ref().filter(|_| !keyboard::is_serial(TERMINAL)) {
        keyboard::load(&Host, layout).or_fail(ExitCode::BadInput)?;
    }
    let places = Places { dev: "/dev".into(), target: args.target.clone() };
    let mut person = Terminal { path: TERMINAL };
    let mounted = Stack { runner: &Host, places: &places, degraded: args.degraded, person: &mut person }.mount();
    let undo = format!("`sovereign-installer rescue --unmount --target {}`", args.target.display());
    mounted.map_err(|failure| Failure::new(failure.code, format!("{failure}\n{undo} undoes what was done so far.")))?;
    let shell = Cmd::new("chroot", [&*args.target.to_string_lossy(), "/bin/bash", "--login"]);
    super::print(&format!(
        "the system is mounted at {}\n  {}     goes into it\n  {undo}     unmounts, closes and stops everything",
        args.target.display(),
        shell.line()
    ))?;
    // Who has no terminal has a script, and goes on as that says.
    if !args.mount_only && person.is_there() && person.agrees("Go into it now?")? {
        return Err(Failure::from_error(ExitCode::Internal, &at_terminal::replace_by(&shell)));
    }
    Ok(ExitCode::Done)
}

/// Unmounts the system, and takes down whatever stands on the disks of an installed system.
fn unmount(runner: &dyn Runner, target: &Path) -> Result<(), Failure> {
    let is_mounted = fs::canonicalize(target).and_then(|target| mount::is_mounted(&target)).unwrap_or(false);
    if is_mounted {
        mount::unmount_tree(runner, target).map_err(|error| {
            let failure = Failure::from_error(ExitCode::Internal, &error);
            let who =
                format!("{failure}\nLeave every shell and end every program in it: `fuser -vm {}`", target.display());
            Failure::new(failure.code, who)
        })?;
    }
    let partitions = blkid::partitions(runner).or_fail(ExitCode::Internal)?;
    let mut disks: Vec<String> = partitions.iter().filter(|p| is_ours(p)).filter_map(|p| p.disk.clone()).collect();
    disks.sort_unstable();
    disks.dedup();
    let groups = lvm::physical_volumes(runner).or_fail(ExitCode::Internal)?;
    let graph = Graph::read().or_fail(ExitCode::Internal)?;
    for action in graph.teardown(&disks, &groups).or_fail(ExitCode::Internal)? {
        holders::carry_out(runner, &action).or_fail(ExitCode::Internal)?;
    }
    udev::settle(runner).or_fail(ExitCode::Internal)
}
