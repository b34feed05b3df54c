//! Where the answers come from when the medium boots: embedded in it, or on a file system labelled `SOVEREIGN`. Never two.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sovereign_model::exit::ExitCode;
use sovereign_model::inventory::partition_path;
use sovereign_model::medium::{ANSWER_LABEL, EMBEDDED_SITE_PATH, EMBEDDED_SITE_SUM_PATH, check_embedded_site};
use sovereign_system::runner::{Cmd, Runner};
use sovereign_system::tools::mount::{Mount, is_mounted, parse_mounts};

use crate::failure::{Failure, OrFail};

/// Name of the site file on an answer medium.
const SITE_FILE: &str = "site.toml";
/// Where answer media are mounted, read-only, a folder each.
const MOUNTS: &str = "/run/sovereign/answers";
/// How long a USB stick may take to appear after the installer has started.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long nothing new must have been found before one site file counts as the only one: virtual sticks of a BMC come late.
const QUIET: Duration = Duration::from_secs(3);

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

/// The search for the one site file: slow media are waited for a while, also one that would be a second source.
pub struct Search {
    start: Instant,
    before: Vec<PathBuf>,
    changed: Instant,
}

/// How far a [`Search`] is.
#[derive(Debug)]
pub enum Looked {
    /// It goes on; nothing was found yet.
    Nothing,
    /// It goes on; something was found that may not be all.
    Something,
    /// Nothing was found in the time that slow media get.
    Over,
    /// This is it.
    Found(Answers),
}

impl Search {
    /// Starts one.
    pub fn start() -> Self {
        let now = Instant::now();
        Self { start: now, before: Vec::new(), changed: now }
    }

    /// Looks once more. `seen` gets the answer media that are there, whatever comes of it.
    ///
    /// # Errors
    /// There is more than one: exit code 2, with each named.
    pub fn look(
        &mut self,
        runner: &dyn Runner,
        medium: &Path,
        seen: &mut Vec<AnswerMedium>,
    ) -> Result<Looked, Failure> {
        let sites = look(runner, medium, seen)?;
        if sites != self.before {
            self.before.clone_from(&sites);
            self.changed = Instant::now();
        }
        if is_decided(sites.len(), self.changed.elapsed(), self.start.elapsed()) {
            return if sites.is_empty() {
                Ok(Looked::Over)
            } else {
                choose(sites, seen.clone(), medium).map(Looked::Found)
            };
        }
        Ok(if sites.is_empty() { Looked::Nothing } else { Looked::Something })
    }
}

/// Pause between two looks.
pub const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The one site file that is there now, and all answer media; no file is no error.
///
/// # Errors
/// There is more than one: exit code 2, with each named.
pub fn now(runner: &dyn Runner, medium: &Path) -> Result<(Option<PathBuf>, Vec<AnswerMedium>), Failure> {
    let mut media = Vec::new();
    let sites = look(runner, medium, &mut media)?;
    if sites.is_empty() {
        return Ok((None, media));
    }
    choose(sites, media, medium).map(|answers| (Some(answers.site), answers.media))
}

/// All answer media that there are now.
///
/// # Errors
/// They cannot be listed, or one cannot be mounted.
pub fn media(runner: &dyn Runner) -> Result<Vec<AnswerMedium>, Failure> {
    let mut media = Vec::new();
    mount_all(runner, Path::new(MOUNTS), &mut media)?;
    Ok(media)
}

/// Whether the search can end: `sites` were found, the last of them `quiet` ago, in a search that began `waited` ago.
fn is_decided(sites: usize, quiet: Duration, waited: Duration) -> bool {
    match sites {
        0 => waited >= PATIENCE,
        1 => quiet >= QUIET,
        _ => true,
    }
}

/// All site files there are now. `media` becomes all answer media, those before one that cannot be mounted too.
fn look(runner: &dyn Runner, medium: &Path, media: &mut Vec<AnswerMedium>) -> Result<Vec<PathBuf>, Failure> {
    mount_all(runner, Path::new(MOUNTS), media)?;
    let embedded = embedded(medium)?;
    let attached = media.iter().map(|m| m.mount.join(SITE_FILE)).filter(|path| path.is_file());
    Ok(embedded.into_iter().chain(attached).collect())
}

/// The site file embedded in the installation medium, compared with the hash beside it.
///
/// # Errors
/// It cannot be read, was altered, or has no hash: exit code 7.
pub fn embedded(medium: &Path) -> Result<Option<PathBuf>, Failure> {
    let read = |path: &str| match fs::read(medium.join(path)) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(
            ExitCode::BadMedium,
            format!("cannot read {path} on the installation medium: {error}\nWrite or attach the medium again."),
        )),
    };
    let (site, sum) = (read(EMBEDDED_SITE_PATH)?, read(EMBEDDED_SITE_SUM_PATH)?);
    let is_there = check_embedded_site(site.as_deref(), sum.as_deref()).or_fail(ExitCode::BadMedium)?;
    Ok(is_there.then(|| medium.join(EMBEDDED_SITE_PATH)))
}

/// Looks once more, for a medium that came after the answers were read.
///
/// # Errors
/// There is another site file than the one in `answers`: exit code 2, with each named.
pub fn recheck(runner: &dyn Runner, medium: &Path, answers: &Answers) -> Result<(), Failure> {
    let mut media = Vec::new();
    let sites = look(runner, medium, &mut media)?;
    no_other(answers, sites, &media, medium)
}

/// There is no answer file, said with what there is instead.
pub fn none(media: &[AnswerMedium]) -> Failure {
    Failure::new(
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
    )
}

fn no_other(answers: &Answers, now: Vec<PathBuf>, media: &[AnswerMedium], medium: &Path) -> Result<(), Failure> {
    // The one that was read may be unplugged by now: it counts all the same.
    let mut sites = vec![answers.site.clone()];
    sites.extend(now.into_iter().filter(|site| *site != answers.site));
    let mut known = answers.media.clone();
    known.extend(media.iter().filter(|m| !answers.media.contains(m)).cloned());
    choose(sites, known, medium).map(|_| ())
}

fn choose(mut sites: Vec<PathBuf>, media: Vec<AnswerMedium>, medium: &Path) -> Result<Answers, Failure> {
    match (sites.pop(), sites.is_empty()) {
        (Some(site), true) => Ok(Answers { site, media }),
        (None, _) => Err(none(&media)),
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

/// What blkid says of file systems with the label.
fn labelled(runner: &dyn Runner) -> Result<String, Failure> {
    // blkid's exit code 2 says that nothing carries the label.
    let listed = runner
        .status(
            &Cmd::new("blkid", ["-c", "/dev/null", "-o", "device", "-t", &format!("LABEL={ANSWER_LABEL}")]),
            &mut |_| {},
        )
        .or_fail(ExitCode::Internal)?;
    Ok(listed.stdout)
}

fn mount_all(runner: &dyn Runner, folder: &Path, media: &mut Vec<AnswerMedium>) -> Result<(), Failure> {
    media.clear();
    for device in devices(&labelled(runner)?) {
        let mount = folder.join(device.trim_start_matches("/dev/").replace('/', "-"));
        if !is_mounted(&mount).or_fail(ExitCode::Internal)? {
            fs::create_dir_all(&mount).or_fail(ExitCode::Internal)?;
            let cmd = Cmd::new("mount", ["-o", "ro,nosuid,nodev,noexec", &device, &mount.to_string_lossy()]);
            runner.run(&cmd).or_fail(ExitCode::BadInput)?;
        }
        media.push(AnswerMedium { device, mount });
    }
    Ok(())
}

/// The answer medium that a file lies on, wherever that is mounted; `None` where it lies on something else.
pub fn medium_of(runner: &dyn Runner, file: &Path) -> Option<AnswerMedium> {
    let file = fs::canonicalize(file).ok()?;
    let mounts = parse_mounts(&fs::read_to_string("/proc/self/mounts").ok()?);
    lies_on(&labelled(runner).ok()?, &mounts, &file)
}

fn lies_on(labelled: &str, mounts: &[Mount], file: &Path) -> Option<AnswerMedium> {
    // Of mounts on one folder the last one is seen.
    let mount = mounts.iter().filter(|m| file.starts_with(&m.point)).max_by_key(|m| m.point.len())?;
    let device = labelled.lines().map(str::trim).find(|device| *device == mount.source)?;
    Some(AnswerMedium { device: device.to_owned(), mount: PathBuf::from(&mount.point) })
}

/// The devices that blkid lists: where a whole disk and its partition carry the same file system (an ISO on a stick), the disk alone.
fn devices(listed: &str) -> Vec<String> {
    let mut all: Vec<&str> = listed.lines().map(str::trim).filter(|l| l.starts_with("/dev/")).collect();
    all.sort_unstable();
    let mut kept: Vec<String> = Vec::new();
    for device in all {
        let of_kept = kept.iter().any(|disk| is_partition(disk, device));
        if !of_kept {
            kept.push(device.to_owned());
        }
    }
    kept
}

/// Whether `device` is a partition of `disk`, by the kernel's rule for names ([`partition_path`]).
fn is_partition(disk: &str, device: &str) -> bool {
    let digits = device.bytes().rev().take_while(u8::is_ascii_digit).count();
    device[device.len() - digits..].parse().is_ok_and(|number| partition_path(disk, number) == device)
}

/// The file `name` that the site file takes a secret from: exactly one answer medium must have it.
///
/// # Errors
/// None, or more than one: exit code 2.
pub fn key_file(media: &[AnswerMedium], name: &str) -> Result<PathBuf, Failure> {
    let with: Vec<&AnswerMedium> = media.iter().filter(|m| m.mount.join(name).is_file()).collect();
    match with[..] {
        [one] => Ok(one.mount.join(name)),
        [] => Err(Failure::new(
            ExitCode::BadInput,
            format!(
                "the site file takes a secret from the file `{name}`, and no attached file system labelled {ANSWER_LABEL} holds it.\n\
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
    use sovereign_system::testing::Recorder;

    fn medium(device: &str) -> AnswerMedium {
        AnswerMedium { device: device.into(), mount: Path::new(MOUNTS).join(device.trim_start_matches("/dev/")) }
    }

    #[test]
    fn a_stick_and_its_partition_are_one_medium() {
        assert_eq!(devices("/dev/sdb1\n/dev/sdb\n/dev/sr0\n"), ["/dev/sdb", "/dev/sr0"]);
        assert_eq!(devices("/dev/nvme0n1p2\n/dev/nvme0n1\n"), ["/dev/nvme0n1"]);
        assert_eq!(devices("/dev/sda1\n/dev/sdb1\n"), ["/dev/sda1", "/dev/sdb1"]);
        assert_eq!(devices("/dev/sr1\n/dev/sr10\n"), ["/dev/sr1", "/dev/sr10"]);
        assert_eq!(devices("/dev/nvme0n1\n/dev/nvme0n10\n/dev/nvme0n1p10\n"), ["/dev/nvme0n1", "/dev/nvme0n10"]);
        assert_eq!(devices("/dev/mmcblk0\n/dev/mmcblk0p1\n/dev/mmcblk0boot0\n"), ["/dev/mmcblk0", "/dev/mmcblk0boot0"]);
        assert_eq!(devices(""), [""; 0]);
    }

    #[test]
    fn the_medium_that_a_file_lies_on_is_known_by_its_label() {
        let mounts = parse_mounts(
            "/dev/root / ext4 rw 0 0\n/dev/sdc1 /mnt vfat ro 0 0\n/dev/sdb1 /mnt/my\\040stick vfat rw 0 0\n",
        );
        let on = |file: &str| lies_on("/dev/sdb1\n", &mounts, Path::new(file));
        let stick = AnswerMedium { device: "/dev/sdb1".to_owned(), mount: PathBuf::from("/mnt/my stick") };
        assert_eq!(on("/mnt/my stick/sites/site.toml"), Some(stick));
        assert_eq!(on("/mnt/site.toml"), None);
        assert_eq!(on("/root/site.toml"), None);
    }

    #[test]
    fn media_are_known_though_another_one_cannot_be_mounted() {
        let runner = Recorder::new().prints("blkid", "/dev/sdx1\n/dev/sdy1\n").fails(
            "mount -o ro,nosuid,nodev,noexec /dev/sdy1",
            32,
            "bad",
        );
        let (folder, mut seen) = (tempfile::tempdir().unwrap(), Vec::new());
        assert!(mount_all(&runner, folder.path(), &mut seen).is_err());
        assert_eq!(seen.iter().map(|m| m.device.as_str()).collect::<Vec<_>>(), ["/dev/sdx1"]);
    }

    #[test]
    fn an_embedded_site_file_that_is_not_what_was_embedded_ends_with_7() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(path), text).unwrap();
        };
        let refused = || {
            let failure = embedded(dir.path()).unwrap_err();
            assert_eq!(failure.code, ExitCode::BadMedium);
            let said = failure.to_string();
            assert!(said.contains(EMBEDDED_SITE_PATH) && said.contains("`sovereign-image embed`"), "{said}");
        };
        assert_eq!(embedded(dir.path()).unwrap(), None);
        write(EMBEDDED_SITE_PATH, "[site]\n");
        refused();
        write(EMBEDDED_SITE_SUM_PATH, &sovereign_model::medium::embedded_site_sum(b"[site]\n"));
        assert_eq!(embedded(dir.path()).unwrap(), Some(dir.path().join(EMBEDDED_SITE_PATH)));
        write(EMBEDDED_SITE_PATH, "[sitf]\n");
        refused();
        fs::remove_file(dir.path().join(EMBEDDED_SITE_PATH)).unwrap();
        refused();
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
    fn one_source_counts_as_the_only_one_after_a_while_and_two_at_once() {
        let s = Duration::from_secs;
        assert!(!is_decided(1, s(1), s(1)));
        assert!(!is_decided(1, s(1), s(14)));
        assert!(is_decided(1, s(3), s(3)));
        assert!(is_decided(2, s(0), s(0)));
        assert!(!is_decided(0, s(14), s(14)));
        assert!(is_decided(0, s(15), s(15)));
    }

    #[test]
    fn a_source_that_comes_late_is_refused_by_name() {
        let medium_dir = Path::new("/run/sovereign/medium");
        let embedded = medium_dir.join(EMBEDDED_SITE_PATH);
        let answers = Answers { site: embedded.clone(), media: Vec::new() };
        assert!(no_other(&answers, vec![embedded.clone()], &[], medium_dir).is_ok());
        let late = medium("/dev/sdc");
        let failure =
            no_other(&answers, vec![embedded, late.mount.join(SITE_FILE)], std::slice::from_ref(&late), medium_dir)
                .unwrap_err();
        assert_eq!(failure.code, ExitCode::BadInput);
        let text = failure.to_string();
        assert!(text.contains("embedded in the installation medium") && text.contains("on /dev/sdc"), "{text}");
        // The stick that was read is gone, and another one is there.
        let answers = Answers { site: medium("/dev/sdb").mount.join(SITE_FILE), media: vec![medium("/dev/sdb")] };
        assert!(no_other(&answers, Vec::new(), &[], medium_dir).is_ok());
        let text = no_other(&answers, vec![late.mount.join(SITE_FILE)], &[late], medium_dir).unwrap_err().to_string();
        assert!(text.contains("on /dev/sdb") && text.contains("on /dev/sdc"), "{text}");
    }

    #[test]
    fn no_source_says_what_to_do() {
        let failure = choose(Vec::new(), vec![medium("/dev/sdb1")], Path::new("/m")).unwrap_err();
        insta::assert_snapshot!(failure);
    }
}
