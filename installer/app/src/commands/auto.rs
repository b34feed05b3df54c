//! `auto`: what the installation medium runs when it boots. Nobody types; everything is said on all consoles.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT};
use sovereign_model::exit::ExitCode;
use sovereign_model::medium::{MANIFEST_PATH, Manifest};
use sovereign_model::site::FinishAction;
use sovereign_system::runner::{Cmd, Host, Runner};

use crate::answers::{self, AnswerMedium};
use crate::cli::Auto;
use crate::consoles::Consoles;
use crate::failure::{Failure, OrFail};
use crate::session::{Session, Voice, tell_failure, tell_logs};

/// How long disks may take to appear after the installer has started: a SAS expander or a slow controller needs a while.
const DISK_PATIENCE: Duration = Duration::from_secs(30);

pub fn run(args: &Auto) -> Result<ExitCode, Failure> {
    let voice = Voice::new(Consoles::all());
    voice.say(&greeting(&args.medium));
    if checks_medium(&fs::read_to_string("/proc/cmdline").unwrap_or_default()) {
        return check(&args.medium, &voice);
    }
    let mut media = Vec::new();
    match install(args, &voice, &mut media) {
        Ok(action) => {
            let (verb, words) = match action {
                FinishAction::Reboot => ("reboot", "restarting; remove the installation medium"),
                FinishAction::Poweroff => ("poweroff", "switching off"),
            };
            voice.say(words);
            voice.drain();
            Host.run(&Cmd::new("systemctl", ["--no-block", verb])).or_fail(ExitCode::Internal)?;
            Ok(ExitCode::Done)
        }
        Err(failure) => {
            tell_failure(&voice, &failure);
            tell_logs(&Host, &voice, &media);
            voice.say("this machine stays as it is: press Enter for a shell, or type `reboot` in one to start again");
            voice.drain();
            Err(failure)
        }
    }
}

/// Whether the boot menu's `check medium` was chosen.
fn checks_medium(cmdline: &str) -> bool {
    cmdline.split_whitespace().any(|word| word == "sovereign.mode=check")
}

fn check(medium: &Path, voice: &Voice) -> Result<ExitCode, Failure> {
    let result = super::medium::verify(medium, &mut |line| voice.say(line));
    match &result {
        Ok(()) => voice.say("MEDIUM GOOD; switch off or restart the machine"),
        Err(failure) => voice.say(&format!("MEDIUM DAMAGED: {failure}")),
    }
    result.map(|()| ExitCode::Done)
}

/// Who speaks: the medium's own words, so that a rehearsal never passes for the product.
fn greeting(medium: &Path) -> String {
    let manifest = fs::read_to_string(medium.join(MANIFEST_PATH))
        .ok()
        .and_then(|text| serde_json::from_str::<Manifest>(&text).ok());
    match manifest {
        Some(m) => format!(
            "Sovereign Appliance installer {} ({}), Debian {}, kernel {}",
            m.version, m.edition_label, m.suite, m.kernel
        ),
        None => {
            format!("Sovereign Appliance installer {} (the medium has no readable manifest)", env!("CARGO_PKG_VERSION"))
        }
    }
}

/// Waits for udev to handle what was found at boot: three minutes, and the Runner a little longer.
fn settle() -> Cmd {
    Cmd::new("udevadm", ["settle", "--timeout=180"]).timeout(Duration::from_secs(190))
}

fn install(args: &Auto, voice: &Voice, media: &mut Vec<AnswerMedium>) -> Result<FinishAction, Failure> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&cancel)).or_fail(ExitCode::Internal)?;
    }
    // Drivers may still be loading. On a slow machine that takes long; what is not there yet is waited for by name below.
    if Host.run(&settle()).is_err() {
        voice.say("devices are still being set up after three minutes; going on");
    }
    let answers = answers::find(&Host, &args.medium, media)?;
    voice.say(&format!("answers: {}", answers.site.display()));
    let site = super::read_site(&answers.site)?;
    let mut keys = BTreeMap::new();
    for name in site.answer_files() {
        keys.insert(name.to_owned(), answers::key_file(&answers.media, name)?);
    }
    let action = site.finish.action;
    let session = Session {
        site,
        medium: args.medium.clone(),
        keys,
        countdown: args.countdown,
        stop_after: None,
        patience: DISK_PATIENCE,
        terminal: "/dev/console",
        recheck: {
            let medium = args.medium.clone();
            Box::new(move || answers::recheck(&Host, &medium, &answers))
        },
    };
    session.run(voice, &cancel)?;
    Ok(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udev_gets_all_the_time_that_it_is_promised() {
        let cmd = settle();
        let promised =
            cmd.args.iter().find_map(|arg| arg.strip_prefix("--timeout=")?.parse().ok()).map(Duration::from_secs);
        assert!(promised.is_some_and(|promised| cmd.timeout > promised), "{cmd:?}");
    }
}
