//! The command line's grammar. `docs/help.md` is generated from it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use sovereign_model::plan::PlanHash;

/// Installs the Sovereign Appliance: RAID, LUKS2, LVM thin pools, and the system on top.
///
/// Exit codes: 0 done; 1 internal error; 2 bad input; 3 no unambiguous plan; 4 a step failed; 5 the memory is not
/// encrypted (`memory-encryption`, `first-boot`); 6 the machine is degraded
/// (`status`, `first-boot`); 7 the medium is damaged; 8 Proxmox would refuse or damage the database (`pmxcfs check`);
/// 130 cancelled before anything was written.
#[derive(Debug, Parser)]
#[command(name = "sovereign-installer", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read a site file and say everything that is wrong with it
    Check(SiteArg),
    /// Print the JSON schema of the site file
    Schema,
    /// Look at this machine and print what is there
    Probe(Probe),
    /// Say whether this machine's memory is encrypted, and how that is known
    MemoryEncryption(MemoryEncryption),
    /// Work out what would be done, to the byte; touches nothing and needs no privileges
    Plan(Plan),
    /// Install: at a terminal on screens that ask what the site file does not say; destroys what is on the chosen disks
    Install(Install),
    /// What the installation medium runs when it boots: installs as complete answers say, or else shows the screens on every console
    Auto(Auto),
    /// In the live system: start what an installed system stands on, ask for its passphrase, mount it, and go into it
    Rescue(Rescue),
    /// Check that the installation medium is complete and unaltered
    Medium(Medium),
    /// On an installed machine: compare arrays, containers, pools and guests' volumes with the plan
    Status(Status),
    /// On an installed machine, once: compare everything with the plan, join the cluster, and report
    FirstBoot(FirstBoot),
    /// Read a Proxmox VE configuration database (config.db), or a copy of one; changes nothing
    #[command(subcommand)]
    Pmxcfs(Pmxcfs),
}

/// A site file.
#[derive(Debug, Args)]
pub struct SiteArg {
    /// The site file
    #[arg(long, value_name = "FILE")]
    pub site: PathBuf,
}

/// `probe`
#[derive(Debug, Args)]
pub struct Probe {
    /// Print the inventory as JSON
    #[arg(long)]
    pub json: bool,
    /// Also save the inventory and the raw captures it was made from in this new folder
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// Replace serial numbers, WWNs, MAC addresses, UUIDs, and names of hosts, sites, labels and mount points by stand-ins, the
    /// same everywhere, in what is saved and printed: the folder gives the same plan and names nobody
    #[arg(long, requires = "save")]
    pub redact: bool,
}

/// `memory-encryption`
#[derive(Debug, Args)]
pub struct MemoryEncryption {
    /// Look at the captures in this folder (`probe --save`) instead of this machine
    #[arg(long, value_name = "DIR")]
    pub sysroot: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// `plan`. Each flag is a switch of its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub site: SiteArg,
    /// An inventory (`probe --json`) or a folder of captures (`probe --save`); without it this machine is probed
    #[arg(long, value_name = "FILE_OR_DIR")]
    pub inventory: Option<PathBuf>,
    /// Print the plan as JSON
    #[arg(long, conflicts_with = "tree")]
    pub json: bool,
    /// Print the plan's hash alone, for `install --plan-hash`; refuses what an installation would refuse
    #[arg(long, conflicts_with_all = ["json", "tree", "ascii"])]
    pub hash: bool,
    /// Print the plan as a tree only, without the picture of the layers
    #[arg(long)]
    pub tree: bool,
    /// Draw with ASCII characters alone
    #[arg(long)]
    pub ascii: bool,
}

/// `install`
#[derive(Debug, Args)]
pub struct Install {
    /// The site file [default: the one on the installation medium or on an answer medium]. At a terminal what it does not say is asked
    #[arg(long, value_name = "FILE")]
    pub site: Option<PathBuf>,
    /// Ask nothing and print what happens as lines with the seconds since the start, as is done where there is no terminal
    #[arg(long)]
    pub plain: bool,
    /// Show the screens in ASCII, without colours
    #[arg(long, conflicts_with = "plain")]
    pub ascii: bool,
    /// The mounted installation medium
    #[arg(long, value_name = "DIR", default_value = "/run/sovereign/medium")]
    pub medium: PathBuf,
    /// Folder in which the key file named by the site file lies [default: the site file's own]
    #[arg(long, value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// Without screens: seconds to wait, showing the plan, before anything is written
    #[arg(long, value_name = "SECONDS", default_value_t = COUNTDOWN_S,
        value_parser = clap::value_parser!(u32).range(0..=COUNTDOWN_MAX_S))]
    pub countdown: u32,
    /// Install only if the plan made on this machine has this hash (`plan --hash`): it was approved elsewhere; exit code 3 otherwise
    #[arg(long, value_name = "HASH")]
    pub plan_hash: Option<PlanHash>,
    /// Stop after this step and leave everything as it is then; for tests and for people who debug
    #[arg(long, value_name = "STEP")]
    pub stop_after: Option<String>,
}

/// `auto`
#[derive(Debug, Args)]
pub struct Auto {
    /// Never show the screens: without complete answers nothing is installed
    #[arg(long)]
    pub plain: bool,
    /// The mounted installation medium
    #[arg(long, value_name = "DIR", default_value = "/run/sovereign/medium")]
    pub medium: PathBuf,
    /// Seconds to wait, showing the plan, before anything is written
    #[arg(long, value_name = "SECONDS", default_value_t = COUNTDOWN_S,
        value_parser = clap::value_parser!(u32).range(0..=COUNTDOWN_MAX_S))]
    pub countdown: u32,
}

/// `rescue`
#[derive(Debug, Args)]
pub struct Rescue {
    /// Where the system is mounted
    #[arg(long, value_name = "DIR", default_value = "/target")]
    pub target: PathBuf,
    /// Start arrays that miss members without asking
    #[arg(long)]
    pub degraded: bool,
    /// Layout of the keyboard at the screen, as the site file names it: the passphrase is typed on it
    #[arg(long, value_name = "LAYOUT")]
    pub keyboard: Option<String>,
    /// Mount only: do not ask whether to go into the system
    #[arg(long)]
    pub mount_only: bool,
    /// Undo it: unmount, close and stop everything that stands on the disks of an installed system
    #[arg(long, conflicts_with_all = ["degraded", "keyboard", "mount_only"])]
    pub unmount: bool,
}

/// Seconds between the plan on the screen and the first write: time to read which disks will be destroyed and to press
/// Ctrl-C.
pub const COUNTDOWN_S: u32 = 10;

/// The longest countdown: a day.
const COUNTDOWN_MAX_S: i64 = 24 * 60 * 60;

/// `medium`
#[derive(Debug, Args)]
pub struct Medium {
    /// The mounted installation medium
    #[arg(long, value_name = "DIR", default_value = "/run/sovereign/medium")]
    pub medium: PathBuf,
}

/// `status`
#[derive(Debug, Args)]
pub struct Status {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
    /// First give arrays back the members that returned: only devices that carry the array's own superblock, and that were away. A member
    /// that left while its disk stayed (`mdadm --remove`, or errors) is left alone until `mdadm --add`
    #[arg(long)]
    pub rejoin: bool,
    /// Also write the findings to this file, as a login banner; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub banner: Vec<PathBuf>,
}

/// `first-boot`
#[derive(Debug, Args)]
pub struct FirstBoot {
    /// Seconds to wait for what comes late: containers that open after the boot, the network, the cluster file system
    #[arg(long, value_name = "SECONDS", default_value_t = 240)]
    pub patience: u64,
}

/// `pmxcfs`
#[derive(Debug, Subcommand)]
pub enum Pmxcfs {
    /// Print every entry and the contents of text files, without keys and passwords
    Dump(DatabaseArg),
    /// Say what Proxmox would refuse, lose or miss in it; exit code 8 where it would refuse or lose something
    Check(DatabaseArg),
}

/// A configuration database.
#[derive(Debug, Args)]
pub struct DatabaseArg {
    /// The database; on a node /var/lib/pve-cluster/config.db
    #[arg(value_name = "DB")]
    pub database: PathBuf,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_countdown_is_at_most_a_day() {
        let parse = |seconds| Cli::try_parse_from(["sovereign-installer", "auto", "--countdown", seconds]);
        assert!(parse("0").is_ok() && parse("86400").is_ok());
        assert!(parse("86401").is_err() && parse("429496730").is_err());
    }
}
