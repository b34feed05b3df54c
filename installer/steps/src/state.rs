//! /sovereign/install.json on both EFI system partitions: what stands on these disks, readable without a key.

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sovereign_engine::StepError;
use sovereign_model::plan::{PartitionRole, Plan};
use sovereign_system::runner::Runner;
use sovereign_system::tools::{blkid, mount, table};

use crate::context::{Context, array_path};
use crate::fail::OrStep;

/// Path on an EFI system partition.
pub const PATH: &str = "sovereign/install.json";

/// How far an installation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was started and did not reach its end.
    Incomplete,
    /// It reached its end.
    Complete,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallState {
    /// Identifies the installation; a UUID.
    pub install_id: String,
    /// `site.name` of the site file.
    pub site: String,
    /// Seconds since 1970 at its start.
    pub started: u64,
    /// SHA-256 of its plan.
    pub plan_hash: String,
    /// How far it is.
    pub state: State,
    /// The last step that ended well.
    pub last_step: String,
}

impl InstallState {
    /// The state of the running installation.
    pub fn of(context: &Context, state: State, last_step: &str) -> Self {
        Self {
            install_id: context.install_id.clone(),
            site: context.plan.site.site.name.clone(),
            started: context.started,
            plan_hash: context.plan_hash.clone(),
            state,
            last_step: last_step.to_owned(),
        }
    }

    /// Writes the file to the file system mounted at `esp`: beside the old one, then over it, so that a power cut leaves one of them.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn write(&self, esp: &Path) -> Result<(), StepError> {
        let path = esp.join(PATH);
        let attempt = || -> std::io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(esp))?;
            let beside = path.with_extension("new");
            let mut file = File::create(&beside)?;
            let mut text = serde_json::to_string_pretty(self)?;
            text.push('\n');
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            // FAT keeps no journal: the folder has to be written too.
            File::open(path.parent().unwrap_or(esp))?.sync_all()
        };
        attempt().or_step(&format!("cannot write {}", path.display()))
    }
}

/// Writes the state to both mounted EFI system partitions.
///
/// # Errors
/// A file system refuses.
pub fn mark(context: &Context, state: State, last_step: &str) -> Result<(), StepError> {
    let state = InstallState::of(context, state, last_step);
    for index in 0..context.partitions(PartitionRole::Esp).len() {
        state.write(&context.esp(index))?;
    }
    Ok(())
}

/// An installation that was found on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierInstall {
    /// The EFI system partition that tells.
    pub device: String,
    /// What it says.
    pub state: InstallState,
}

impl fmt::Display for EarlierInstall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.state;
        match s.state {
            State::Complete => {
                write!(f, "{} holds the complete installation {} of {}", self.device, s.install_id, s.site)
            }
            State::Incomplete => write!(
                f,
                "{} holds an installation of {} that was interrupted after the step {} ({}); it is not usable and will be \
                 installed again from the start",
                self.device, s.site, s.last_step, s.install_id
            ),
        }
    }
}

/// Looks for earlier installations on the disks of a plan, read-only. What cannot be read is passed over.
pub fn earlier_install(runner: &dyn Runner, plan: &Plan) -> Vec<EarlierInstall> {
    let Ok(partitions) = blkid::partitions_named(runner, table::Kind::Host(PartitionRole::Esp).name()) else {
        return Vec::new();
    };
    let ours = |p: &blkid::Named| {
        p.kind.as_deref() == Some("vfat") && plan.disks.iter().any(|d| p.disk.as_deref() == Some(&d.kernel_name))
    };
    partitions.iter().filter(|p| ours(p)).filter_map(|p| read_from(runner, &p.device)).collect()
}

fn read_from(runner: &dyn Runner, device: &str) -> Option<EarlierInstall> {
    let point = std::env::temp_dir().join(format!("sovereign-esp-{}", std::process::id()));
    fs::create_dir_all(&point).ok()?;
    mount::mount(runner, device, &point, "ro").ok()?;
    let text = fs::read_to_string(point.join(PATH)).ok();
    // Nothing was written: there is nothing to save where this fails.
    let _ = mount::unmount(runner, &point.to_string_lossy());
    let _ = fs::remove_dir(&point);
    let state = serde_json::from_str(&text?).ok()?;
    Some(EarlierInstall { device: device.to_owned(), state })
}

/// Names of the arrays' devices, last first: the order in which they are stopped.
pub fn arrays_reversed(context: &Context) -> Vec<String> {
    context.plan.arrays.iter().rev().map(|a| array_path(&a.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_written_whole_and_read_back() {
        let esp = tempfile::tempdir().unwrap();
        let mut state = InstallState {
            install_id: "0d6f".to_owned(),
            site: "berlin-1".to_owned(),
            started: 1_795_000_000,
            plan_hash: "ab".repeat(32),
            state: State::Incomplete,
            last_step: "unpack".to_owned(),
        };
        state.write(esp.path()).unwrap();
        let earlier = EarlierInstall { device: "/dev/sda2".to_owned(), state: state.clone() };
        assert!(earlier.to_string().contains("interrupted after the step unpack"));
        state.state = State::Complete;
        state.write(esp.path()).unwrap();
        let text = fs::read_to_string(esp.path().join(PATH)).unwrap();
        assert_eq!(serde_json::from_str::<InstallState>(&text).unwrap(), state);
        assert!(text.contains("\"complete\""));
        assert_eq!(fs::read_dir(esp.path().join("sovereign")).unwrap().count(), 1);
    }
}
