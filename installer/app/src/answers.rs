//! Where the answers come from when the medium boots: embedded in it, or on a file system labelled `SOVEREIGN`. Never two.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use sovereign_model::exit::ExitCode;
use sovereign_model::medium::{ANSWER_LABEL, EMBEDDED_SITE_PATH};
use sovereign_system::runner::{Cmd, Runner};

use crate::failure::{Failure, OrFail};

/// Name of the site file on an answer medium.
const SITE_FILE: &str = "site.toml";
/// Where answer media are mounted, read-only, a folder each.
const MOUNTS: &str = "/run/sovereign/answers";
/// How long a USB stick may take to appear after the installer has started.
const PATIENCE: Duration = Duration::from_secs(15);

/// An attached file system labelled `SOVEREIGN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerMedium {
    /// Its device.
    pub device: String,
    /// Where it is mounted.
    pub mount: PathBuf,
}

/// The site file, and the media that may hold keys and take logs.
#[derive(Debug)]
pub struct Answers {
    /// The one site file.
    pub site: PathBuf,
    /// All answer media.
    pub media: Vec<AnswerMedium>,
}

/// Looks for the one site file; waits a while for slow media.
///
/// # Errors
/// None, or more than one: exit code 2, with each named.
pub fn find(runner: &dyn Runner, medium: &Path) -> Result<Answers, Failure> {
    let embedded = Some(medium.join(EMBEDDED_SITE_PATH)).filter(|path| path.is_file());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let media = mount_all(runner)?;
        let found = media.iter().map(|m| m.mount.join(SITE_FILE)).filter(|path| path.is_file());
        let sites: Vec<PathBuf> = embedded.clone().into_iter().chain(found).collect();
        if !sites.is_empty() || Instant::now() >= deadline {
            return choose(sites, media, medium);
        }
        thread::sleep(Duration::from_millis(500));
    }
}

fn choose(mut sites: Vec<PathBuf>, media: Vec<AnswerMedium>, medium: &Path) -> Result<Answers, Failure> {
    match (sites.pop(), sites.is_empty()) {
        (Some(site), true) => Ok(Answers { site, media }),
        (None, _) => Err(Failure::new(
            ExitCode::BadInput,
            format!(
                "there is no answer file: the installation medium has none embedded, and no attached file system labelled {ANSWER_LABEL} \
                 holds a {SITE_FILE}{}.\nWrite one (docs/sites/ has examples), put it on a USB stick labelled {ANSWER_LABEL} (FAT or ISO 9660), \
                 or embed it with `sovereign-image embed`, and start again.",
                if media.is_empty() {
                    " (none is attached)".to_owned()
                } else {
                    format!(" (attached: {})", media.iter().map(|m| m.device.as_str()).collect::<Vec<_>>().join(", "))
                }
            ),
        )),
        (Some(last), false) => {
            sites.push(last);
            let names: Vec<String> = sites.iter().map(|site| name(site, &media, medium)).collect();
            Err(Failure::new(
                ExitCode::BadInput,
                format!(
                    "there are {} answer files, and only one can be right:\n  {}\nRemove all but one and start again.",
                    sites.len(),
                    names.join("\n  ")
                ),
            ))
        }
    }
}

fn name(site: &Path, media: &[AnswerMedium], medium: &Path) -> String {
    if site.starts_with(medium) {
        return format!("{EMBEDDED_SITE_PATH}, embedded in the installation medium");
    }
    let device = media.iter().find(|m| site.starts_with(&m.mount)).map_or("?", |m| m.device.as_str());
    format!("{SITE_FILE} on {device}, labelled {ANSWER_LABEL}")
}

fn mount_all(runner: &dyn Runner) -> Result<Vec<AnswerMedium>, Failure> {
    // blkid's exit code 2 says that nothing carries the label.
    let listed = runner
        .status(
            &Cmd::new("blkid", ["-c", "/dev/null", "-o", "device", "-t", &format!("LABEL={ANSWER_LABEL}")]),
            &mut |_| {},
        )
        .or_fail(ExitCode::Internal)?;
    let mut media = Vec::new();
    for device in devices(&listed.stdout) {
        let mount = Path::new(MOUNTS).join(device.trim_start_matches("/dev/").replace('/', "-"));
        if !is_mounted(&mount) {
            fs::create_dir_all(&mount).or_fail(ExitCode::Internal)?;
            let cmd = Cmd::new("mount", ["-o", "ro,nosuid,nodev,noexec", &device, &mount.to_string_lossy()]);
            runner.run(&cmd).or_fail(ExitCode::BadInput)?;
        }
        media.push(AnswerMedium { device, mount });
    }
    Ok(media)
}

/// The devices that blkid lists: where a whole disk and its partition carry the same file system (an ISO on a stick), the disk alone.
fn devices(listed: &str) -> Vec<String> {
    let mut all: Vec<&str> = listed.lines().map(str::trim).filter(|l| l.starts_with("/dev/")).collect();
    all.sort_unstable();
    let mut kept: Vec<String> = Vec::new();
    for device in all {
        let of_kept = kept.iter().any(|disk| {
            device.strip_prefix(disk.as_str()).is_some_and(|rest| {
                let rest = rest.strip_prefix('p').unwrap_or(rest);
                !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())
            })
        });
        if !of_kept {
            kept.push(device.to_owned());
        }
    }
    kept
}

fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1).is_some_and(|at| Path::new(at) == path))
}

/// The folder in which the key file `name` lies: exactly one answer medium must have it.
///
/// # Errors
/// None, or more than one: exit code 2.
pub fn key_folder(media: &[AnswerMedium], name: &str) -> Result<PathBuf, Failure> {
    let with: Vec<&AnswerMedium> = media.iter().filter(|m| m.mount.join(name).is_file()).collect();
    match with[..] {
        [one] => Ok(one.mount.clone()),
        [] => Err(Failure::new(
            ExitCode::BadInput,
            format!(
                "the site file takes the passphrase from the file `{name}`, and no attached file system labelled {ANSWER_LABEL} holds it.\n\
                 Put it in the top folder of the answer medium and start again."
            ),
        )),
        _ => Err(Failure::new(
            ExitCode::BadInput,
            format!(
                "the key file `{name}` is on more than one answer medium: {}.\nRemove all but one and start again.",
                with.iter().map(|m| m.device.as_str()).collect::<Vec<_>>().join(", ")
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medium(device: &str) -> AnswerMedium {
        AnswerMedium { device: device.into(), mount: Path::new(MOUNTS).join(device.trim_start_matches("/dev/")) }
    }

    #[test]
    fn a_stick_and_its_partition_are_one_medium() {
        assert_eq!(devices("/dev/sdb1\n/dev/sdb\n/dev/sr0\n"), ["/dev/sdb", "/dev/sr0"]);
        assert_eq!(devices("/dev/nvme0n1p2\n/dev/nvme0n1\n"), ["/dev/nvme0n1"]);
        assert_eq!(devices("/dev/sda1\n/dev/sdb1\n"), ["/dev/sda1", "/dev/sdb1"]);
        assert_eq!(devices(""), [""; 0]);
    }

    #[test]
    fn two_sources_are_refused_by_name() {
        let medium_dir = Path::new("/run/sovereign/medium");
        let media = vec![medium("/dev/sdb1")];
        let sites = vec![medium_dir.join(EMBEDDED_SITE_PATH), media[0].mount.join(SITE_FILE)];
        let failure = choose(sites, media, medium_dir).unwrap_err();
        assert_eq!(failure.code, ExitCode::BadInput);
        insta::assert_snapshot!(failure);
    }

    #[test]
    fn no_source_says_what_to_do() {
        let failure = choose(Vec::new(), vec![medium("/dev/sdb1")], Path::new("/m")).unwrap_err();
        insta::assert_snapshot!(failure);
    }
}
