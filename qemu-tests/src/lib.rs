//! Black-box tests of the ISO and of the machines it installs: QEMU under a clock.
//!
//! The crate knows an ISO file and what the product promises on its serial console; it links none of the installer's crates.
//! Layers, each of which only uses those before it:
//!
//! - [`failure`], [`host`], [`timing`]: how a test fails, programs and paths of the host, what a test leaves behind;
//! - [`disk`], [`medium`], [`cables`], [`machine`]: what a machine is made of, while it is off;
//! - [`qmp`], [`line`], [`console`], [`vm`], [`shell`]: a machine that is running, and a root shell in it;
//! - [`layout`]: what a machine's disks carry before it is installed;
//! - [`agent`], [`boot`], [`technician`], [`remote`], [`installed`], [`templates`], [`started`], [`guest`], [`secrets`]: what every scenario does, and
//!   what it asks a guest;
//! - [`ports`], [`packet`], [`scanner`]: what a port scan should see, and a machine that scans (with the program `port-scan` of this crate).
//!
//! A failed expectation is a failed test: everything a test calls panics at the caller's line with the last screen, instead of
//! handing an error to a caller who could do nothing else with it. The layers below return errors.

#![expect(
    clippy::missing_panics_doc,
    reason = "every expectation of a test harness panics; the crate's head says so once"
)]

pub mod agent;
pub mod boot;
pub mod cables;
pub mod console;
pub mod disk;
pub mod failure;
pub mod guest;
pub mod host;
pub mod identity;
pub mod installed;
pub mod layout;
pub mod line;
pub mod machine;
pub mod medium;
pub mod packet;
pub mod plain;
pub mod ports;
pub mod qmp;
pub mod remote;
pub mod scanner;
pub mod secrets;
pub mod shell;
pub mod started;
pub mod technician;
pub mod templates;
pub mod timing;
pub mod vm;
pub mod words;

pub use cables::Cables;
pub use console::{Console, Pattern, re};
pub use disk::{Bus, Disk};
pub use failure::OrFail;
pub use installed::Installed;
pub use line::{Cable, Line};
pub use machine::{Firmware, Machine};
pub use medium::AnswerMedium;
pub use remote::Remote;
pub use shell::Shell;
pub use technician::Technician;
pub use timing::Lab;
pub use vm::Vm;
