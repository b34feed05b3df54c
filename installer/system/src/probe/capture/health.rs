//! What disks say of their own state: smartctl, one run a disk, all at the same time.

use std::thread;

use super::{Cmd, Duration, SMARTCTL, Taker, chain};

/// A disk that spins down is left alone (`standby`); what is asked for writes nothing to the disk and starts no test. `devstat` is
/// where SATA SSDs tell how worn they are.
const ARGS: [&str; 7] =
    ["--json", "--nocheck=standby", "--info", "--health", "--attributes", "--log=error", "--log=devstat"];
/// How long one disk may take: a healthy one answers within a second, a dying one repeats commands for many.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Asks each of `disks`, all at the same time. A remark where no answer comes.
pub(super) fn take(taker: &mut Taker<'_>, disks: &[&str]) {
    let runner = taker.runner;
    let ask = |disk: &str| {
        let args = ARGS.iter().copied().chain([disk]);
        // Its exit code has a bit for each thing that is wrong with the disk: what it printed counts.
        runner.status(&Cmd::new("smartctl", args).timeout(TIMEOUT), &mut |_| {})
    };
    let ask = &ask;
    let answers: Vec<_> = thread::scope(|scope| {
        let asked: Vec<_> = disks.iter().map(|disk| scope.spawn(move || ask(disk))).collect();
        asked.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut text = String::new();
    for answer in answers.into_iter().flatten() {
        match answer {
            Ok(output) => text.push_str(&output.stdout),
            Err(error) => taker.captures.remark(&chain(&error)),
        }
    }
    taker.captures.insert(SMARTCTL, text);
}
