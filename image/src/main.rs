//! Builds the installation medium, looks into it, checks it, and writes it to USB sticks.
// They panic where nobody reads: see `output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sovereign_model::Bytes;

use crate::error::Error;
use crate::output::{print, tell};
use crate::progress::Progress;

mod apt;
mod base;
mod bench;
mod boot;
mod build;
mod cache;
mod choice;
mod cpio;
mod device;
mod edition;
mod embed;
mod epoch;
mod error;
mod fetch;
mod file;
#[cfg(test)]
mod fixture;
mod guest;
mod hash;
mod initrd;
mod inspect;
mod iso;
mod iso9660;
mod lock;
mod menu;
mod mirror;
mod output;
mod overlay;
mod progress;
mod resolve;
mod root;
mod sbom;
mod seal;
mod sizes;
mod source;
mod squash;
mod tool;
mod verify;
mod workload;
mod write;

/// Builds, inspects, checks and writes the installation medium of the Sovereign Appliance.
#[derive(Parser)]
#[command(name = "sovereign-image", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Resolve an edition's packages and write down their versions and hashes
    Lock(build::LockOptions),
    /// Build the image; its path is the only line on standard output
    Build(build::Options),
    /// Measure builds, cold and warm, against plain mmdebstrap and mksquashfs of the same packages; prints the figures
    Bench(build::Options),
    /// Say what is on an image or a stick; ends with 7 where its length or its boot records are not as they were made
    Inspect {
        /// The image or device
        image: PathBuf,
        /// What each part of it takes instead, and whether anything is on it twice
        #[arg(long)]
        sizes: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Put a site file on a copy of an image
    ///
    /// Key files and passphrases are never embedded: they belong on the answer medium. The hash of root's password is,
    /// where the site file has one: the copy is then readable by its owner alone (mode 0600), and the last line says
    /// so.
    Embed {
        /// The image
        image: PathBuf,
        /// The site file
        #[arg(long, value_name = "FILE")]
        site: PathBuf,
        /// The copy to write
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Write an image to a USB stick, read it back and compare
    Write {
        /// The image
        image: PathBuf,
        /// The stick, such as /dev/sdb; all that is on it is lost
        #[arg(long, value_name = "DEVICE")]
        device: PathBuf,
        /// Serial number the device must have; needed where it is not removable
        #[arg(long, value_name = "SERIAL")]
        serial: Option<String>,
    },
    /// Compare everything on an image or a stick with its manifest
    Verify {
        /// The image or device
        image: PathBuf,
    },
    /// The containers that guests run
    Workloads {
        #[command(subcommand)]
        command: Workloads,
    },
}

#[derive(Subcommand)]
enum Workloads {
    /// Ask registries for the image of each workload and write down its digest
    Lock(workload::LockOptions),
}

fn main() -> ExitCode {
    let progress = Progress::default();
    match run(Cli::parse().command, &progress) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: {error}"));
            let mut cause = error.source();
            while let Some(error) = cause {
                tell(&format!("  because: {error}"));
                cause = error.source();
            }
            error.exit_code().into()
        }
    }
}

fn run(command: Command, progress: &Progress) -> Result<(), Error> {
    match command {
        Command::Lock(options) => build::lock(&options, progress)?,
        Command::Build(options) => print(&build::build(&options, progress)?.display().to_string())?,
        Command::Bench(options) => print(&bench::bench(&options, progress)?.to_string())?,
        Command::Inspect { image, sizes: true, json } => show(&sizes::sizes(&image)?, json)?,
        Command::Inspect { image, sizes: false, json } => {
            let report = inspect::inspect(&image)?;
            show(&report, json)?;
            report.judge()?;
        }
        Command::Embed { image, site, output } => {
            let embedded = embed::embed(&image, &site, &output, progress)?;
            print(&output.display().to_string())?;
            if let Some(warning) = embedded.warning(&output) {
                tell(&warning);
            }
        }
        Command::Write { image, device, serial } => {
            write::write(&image, &device, serial.as_deref(), progress)?;
            print(&format!("{}: written, read back and equal", device.display()))?;
        }
        Command::Verify { image } => {
            let found = verify::verify(&image, progress)?;
            let site = if found.site { "; site file embedded" } else { "" };
            print(&format!("{}: whole and unaltered ({} checked){site}", image.display(), Bytes(found.bytes)))?;
        }
        Command::Workloads { command: Workloads::Lock(options) } => {
            workload::lock(&options, &guest::catalogue(&options.overlays.join(build::GUEST_OVERLAYS))?, progress)?;
        }
    }
    Ok(())
}

/// Prints a report for people or for programs.
fn show(report: &(impl serde::Serialize + std::fmt::Display), json: bool) -> Result<(), Error> {
    let text = if json { serde_json::to_string_pretty(report)? } else { report.to_string() };
    Ok(print(&text)?)
}
