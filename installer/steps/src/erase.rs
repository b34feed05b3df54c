//! Step `erase`: each disk erases itself by a command of its own, where the site asks for that; all at the same time.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use sovereign_engine::{Destructive, Report, Step, StepError};
use sovereign_model::Bytes;
use sovereign_model::erase::{SelfErase, nvme_controller};
use sovereign_system::runner::Runner;
use sovereign_system::tools::nvme::SanitizeState;
use sovereign_system::tools::{hdparm, nvme, udev, wipe};

use crate::context::Context;
use crate::fail::OrStep;
use crate::verify_disks::still_the_same;
use crate::wipe::verify_clean;

/// How often it is said how far the disks are.
const TICK: Duration = Duration::from_secs(5);
/// How long a drive gets that does not say how long it needs: a large SSD formats in minutes.
const UNKNOWN: Duration = Duration::from_secs(2 * 3600);
/// Bytes a second that even an old disk overwrites itself with.
const SLOW: u64 = 50_000_000;
/// What a drive gets beyond twice the time that it says.
const SPARE: Duration = Duration::from_secs(3600);

/// See the module.
pub struct Erase;

/// What is said while disks erase themselves.
enum Said {
    /// A line for the log.
    Line(String),
    /// Per cent that should be done, and of what.
    Progress(u8, String),
}

/// Who is told.
type Tell<'a> = dyn Fn(Said) + Sync + 'a;

/// A disk that is to erase itself.
struct Job {
    device: String,
    /// Its node as an NVMe controller, where it is one.
    controller: String,
    /// How much it holds.
    size: Bytes,
    how: SelfErase,
}

impl Job {
    /// How long it may take.
    fn patience(&self) -> Duration {
        let said = self.how.seconds().map_or(UNKNOWN, |seconds| Duration::from_secs(seconds.saturating_mul(2)) + SPARE);
        // A disk that overwrites itself takes as long as that takes, whatever it says: some say the largest number that there is room for.
        if matches!(self.how, SelfErase::AtaSecurity { .. }) {
            return said.max(Duration::from_secs(self.size.get() / SLOW) + SPARE);
        }
        said
    }
}

fn jobs(context: &Context) -> Vec<Job> {
    let disks = context.plan.disks.iter().enumerate();
    disks
        .filter_map(|(index, disk)| {
            let controller = nvme_controller(&disk.kernel_name).map(|name| format!("/dev/{name}")).unwrap_or_default();
            Some(Job { device: context.disk(index), controller, size: disk.id.size, how: disk.self_erase.clone()? })
        })
        .collect()
}

/// Has one disk erase itself, and waits for it; a sanitize operation is asked each `tick` how far it is.
fn erase(runner: &dyn Runner, job: &Job, tick: Duration, tell: &Tell<'_>) -> Result<(), StepError> {
    let device = &job.device;
    let what = "the disk does not erase itself";
    let next = "Look at the disk with `smartctl -a` and replace it, or install with another erase.mode.";
    let done = match &job.how {
        SelfErase::NvmeFormat { .. } => nvme::format(runner, device, job.patience()).or_step_on(what, device),
        SelfErase::NvmeSanitize { action, .. } => nvme::sanitize(runner, &job.controller, *action)
            .or_step_on(what, device)
            .and_then(|()| sanitized(runner, job, tick, tell)),
        SelfErase::AtaSecurity { enhanced, .. } => hdparm::security_erase(runner, device, *enhanced, job.patience())
            .or_step_on(what, device)
            .and_then(|()| unlocked(runner, device)),
        SelfErase::Unable { why } => Err(StepError::new(format!("{what}: {why}")).on(device.as_str())),
    };
    done.map_err(|error| error.next(next))
}

/// Waits for the end of a sanitize operation.
fn sanitized(runner: &dyn Runner, job: &Job, tick: Duration, tell: &Tell<'_>) -> Result<(), StepError> {
    let deadline = Instant::now() + job.patience();
    loop {
        let log = nvme::sanitize_log(runner, &job.controller);
        let log = log.or_step_on("cannot ask how far the disk is", &job.device)?;
        match log.state {
            SanitizeState::Done => return Ok(()),
            SanitizeState::Failed => {
                return Err(StepError::new("the sanitize operation failed").on(job.device.as_str()));
            }
            SanitizeState::Never | SanitizeState::Running if Instant::now() < deadline => {
                tell(Said::Line(format!("{}: {} % are sanitized", job.device, log.progress * 100 / 65_536)));
            }
            SanitizeState::Never | SanitizeState::Running => {
                return Err(StepError::new("the sanitize operation does not end").on(job.device.as_str()));
            }
        }
        thread::sleep(tick);
    }
}

/// A disk that has erased itself has no password any more.
fn unlocked(runner: &dyn Runner, device: &str) -> Result<(), StepError> {
    match hdparm::self_erase(runner, device).or_step_on("cannot ask the disk whether it has erased itself", device)? {
        SelfErase::Unable { why } => Err(StepError::new(format!("the disk has not erased itself: {why}")).on(device)),
        _ => Ok(()),
    }
}

/// Has all disks erase themselves, and says every `tick` how far they should be by their own estimates.
///
/// # Errors
/// The first disk's that fails; the others are waited for, and what they say is logged.
fn erase_all(runner: &dyn Runner, jobs: &[Job], tick: Duration, tell: &Tell<'_>) -> Result<(), StepError> {
    let started = Instant::now();
    let longest = jobs.iter().filter_map(|job| job.how.seconds()).max();
    let mut first = Ok(());
    thread::scope(|scope| {
        let (sender, ended) = mpsc::channel();
        for job in jobs {
            tell(Said::Line(format!("{}: {}", job.device, job.how)));
            let sender = sender.clone();
            // The receiver is there until all have ended.
            scope.spawn(move || drop(sender.send((job.device.as_str(), erase(runner, job, tick, tell)))));
        }
        drop(sender);
        let mut left: Vec<&str> = jobs.iter().map(|job| job.device.as_str()).collect();
        loop {
            match ended.recv_timeout(tick) {
                Ok((device, result)) => {
                    left.retain(|other| *other != device);
                    match result {
                        Ok(()) => tell(Said::Line(format!("{device}: has erased itself"))),
                        Err(error) if first.is_ok() => first = Err(error),
                        Err(error) => tell(Said::Line(error.render())),
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let minutes = started.elapsed().as_secs() / 60;
                    let of = longest.map(|seconds| format!(" of about {}", seconds.div_ceil(60))).unwrap_or_default();
                    let note = format!("{}: {minutes}{of} minutes, do not switch off", left.join(", "));
                    tell(Said::Progress(how_far(started.elapsed(), longest), note));
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    first
}

/// Per cent of the longest estimate, of which the last is only said at the end.
fn how_far(elapsed: Duration, longest: Option<u64>) -> u8 {
    longest.map_or(0, |seconds| crate::wipe::percent(elapsed.as_secs(), seconds).min(99))
}

impl Step<Context, Destructive> for Erase {
    fn name(&self) -> &'static str {
        "erase"
    }

    fn describe(&self, context: &Context) -> String {
        let jobs = jobs(context);
        let longest = jobs.iter().filter_map(|job| job.how.seconds()).max();
        let time = match longest {
            Some(seconds) => format!(", which takes about {} minutes", seconds.div_ceil(60)),
            None => String::new(),
        };
        format!("have {} disks erase themselves{time} and must not be interrupted", jobs.len())
    }

    fn run(&self, context: &mut Context, _: &Destructive, report: &Report<'_>) -> Result<(), StepError> {
        still_the_same(context)?;
        let runner = context.runner.as_ref();
        erase_all(runner, &jobs(context), TICK, &|said| match said {
            Said::Line(line) => report.log(line),
            Said::Progress(percent, note) => report.progress(percent, note),
        })?;
        // What a disk returns that has forgotten its key is noise, in which anything may be seen.
        for (index, areas) in context.found.cleared.iter().enumerate() {
            let device = context.disk(index);
            wipe::ends_of(&device, areas).or_step_on("cannot write to the disk that has erased itself", &device)?;
            udev::reread_table(runner, &device).or_step_on("the kernel cannot read the empty table", &device)?;
        }
        udev::settle(runner).or_step("udev did not come to rest")
    }

    fn check(&self, context: &mut Context) -> Result<(), StepError> {
        for (index, areas) in context.found.cleared.iter().enumerate() {
            verify_clean(context.runner.as_ref(), &context.disk(index), areas)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    use sovereign_model::erase::SanitizeAction;
    use sovereign_system::testing::Recorder;

    const HDPARM: &str = "Security: \n\t\tsupported\n\tnot\tenabled\n\tnot\tlocked\n\tnot\tfrozen\n";

    fn job(device: &str, how: SelfErase) -> Job {
        Job { device: device.to_owned(), controller: "/dev/nvme1".to_owned(), size: Bytes(20_000_000_000_000), how }
    }

    fn three() -> [Job; 3] {
        [
            job("/dev/nvme0n1", SelfErase::NvmeFormat { whole_drive: false }),
            job("/dev/nvme1n1", SelfErase::NvmeSanitize { action: SanitizeAction::BlockErase, seconds: Some(90) }),
            job("/dev/sda", SelfErase::AtaSecurity { enhanced: false, minutes: Some(2) }),
        ]
    }

    fn log(code: u32) -> String {
        format!(r#"{{"nvme1":{{"sprog":16384,"sstat":{{"status":"({code}) words"}}}}}}"#)
    }

    fn run(runner: &Recorder) -> (Result<(), StepError>, Vec<String>) {
        let lines = Mutex::new(Vec::new());
        let result = erase_all(runner, &three(), Duration::from_millis(5), &|said| {
            if let Said::Line(line) = said {
                lines.lock().unwrap().push(line);
            }
        });
        (result, lines.into_inner().unwrap())
    }

    #[test]
    fn every_disk_erases_itself_by_its_own_command() {
        let runner = Recorder::new().prints("nvme sanitize-log", &log(1)).prints("hdparm -I", HDPARM);
        let (result, said) = run(&runner);
        result.unwrap();
        let mut lines = runner.lines();
        lines.sort();
        assert_eq!(
            lines,
            [
                "hdparm --user-master u --security-erase sovereign /dev/sda",
                "hdparm --user-master u --security-set-pass sovereign /dev/sda",
                "hdparm -I /dev/sda",
                "nvme format /dev/nvme0n1 --ses=1 --timeout=7200000 --force",
                "nvme sanitize /dev/nvme1 --sanact=2",
                "nvme sanitize-log /dev/nvme1 --output-format=json",
            ]
        );
        assert!(said.contains(&"/dev/sda: ATA Security Erase Unit, about 120 seconds".to_owned()), "{said:?}");
        assert_eq!(said.iter().filter(|line| line.ends_with("has erased itself")).count(), 3, "{said:?}");
    }

    #[test]
    fn a_disk_that_fails_is_named_and_the_others_are_waited_for() {
        let good = || Recorder::new().prints("hdparm -I", HDPARM);
        let cases: [(Recorder, &[&str]); 4] = [
            (
                good().fails("nvme format", 1, "NVMe status: Access Denied").prints("nvme sanitize-log", &log(1)),
                &["/dev/nvme0n1", "Access Denied"],
            ),
            (good().prints("nvme sanitize-log", &log(3)), &["/dev/nvme1n1", "the sanitize operation failed"]),
            (
                Recorder::new()
                    .fails("hdparm --user-master u --security-erase", 5, "SECURITY_ERASE: Input/output error")
                    .prints("nvme sanitize-log", &log(1)),
                &["/dev/sda", "Input/output error"],
            ),
            (
                Recorder::new()
                    .prints("nvme sanitize-log", &log(1))
                    .prints("hdparm -I", &HDPARM.replace("not\tenabled", "\tenabled")),
                &["/dev/sda", "has not erased itself", "password"],
            ),
        ];
        for (runner, words) in cases {
            let (result, said) = run(&runner);
            let error = result.unwrap_err().render();
            assert!(words.iter().all(|word| error.contains(word)) && error.contains("erase.mode"), "{error}");
            assert_eq!(said.iter().filter(|line| line.ends_with("has erased itself")).count(), 2, "{said:?}");
        }
    }

    #[test]
    fn how_long_a_drive_gets_comes_from_what_it_says() {
        let [format, sanitize, ata] = three();
        assert_eq!(format.patience(), UNKNOWN);
        assert_eq!(sanitize.patience(), Duration::from_secs(180) + SPARE);
        // 20 TB.
        assert_eq!(ata.patience(), Duration::from_secs(400_000) + SPARE);
        assert_eq!(how_far(Duration::from_secs(60), Some(120)), 50);
        assert_eq!(how_far(Duration::from_secs(600), Some(120)), 99);
        assert_eq!(how_far(Duration::from_secs(600), None), 0);
    }
}
