//! `auto`: what the installation medium runs when it boots. Nobody types; everything is said on all consoles.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT};
use sovereign_model::exit::ExitCode;
use sovereign_model::medium::{MANIFEST_PATH, Manifest};
use sovereign_model::site::{Draft, Fault, FinishAction, PassphraseSource, Site};
use sovereign_system::runner::{Cmd, Host, Runner};
use sovereign_system::tools::udev;

use super::boot_words;
use crate::answers::{self, AnswerMedium, Answers, Looked, Search};
use crate::approval;
use crate::cli::Auto;
use crate::consoles::Consoles;
use crate::failure::{Failure, OrFail};
use crate::remote;
use crate::screens::{self, Screens};
use crate::session::{Session, Voice, tell_failure, tell_logs};

/// How long disks may take to appear after the installer has started: a SAS expander or a slow controller needs a while.
const DISK_PATIENCE: Duration = Duration::from_secs(30);

pub fn run(args: &Auto) -> Result<ExitCode, Failure> {
    let voice = Voice::new(Consoles::all());
    voice.say(&greeting(&args.medium));
    if boot_words::has(boot_words::CHECK) {
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

/// The answers of this machine, once they are complete.
///
/// # Errors
/// There are none, or wrong ones; or the screens were shown, and have ended.
fn answers(args: &Auto, voice: &Voice, media: &mut Vec<AnswerMedium>) -> Result<(Answers, Site), Failure> {
    let mut screens = Screens::of(&Host, voice);
    let asks = !args.plain && !boot_words::has(boot_words::PLAIN);
    // A person at the screen does not wait for what may come late.
    if asks && matches!(Search::start().look(&Host, &args.medium, media)?, Looked::Nothing) {
        screens.show()?;
    }
    // This program is started beside udev. Before that has looked at all devices, it would seem to be at rest.
    if let Err(error) = udev::start(&Host) {
        voice.say(&format!("udev does not start; going on: {error}"));
    }
    // Drivers may still be loading. On a slow machine that takes long; what is not there yet is waited for by name below.
    if Host.run(&settle()).is_err() {
        voice.say("devices are still being set up after three minutes; going on");
    }
    let mut search = Search::start();
    let found = loop {
        if screens.are_shown() && Screens::are_attended() {
            return Err(screens.wait());
        }
        match search.look(&Host, &args.medium, media) {
            Ok(Looked::Found(found)) => break Ok(found),
            Ok(Looked::Nothing | Looked::Something) => thread::sleep(answers::LOOK_AGAIN),
            Ok(Looked::Over) if screens.are_shown() => return Err(screens.wait()),
            Ok(Looked::Over) => break Err(answers::none(media)),
            Err(failure) => break Err(failure),
        }
    };
    // While the file was read somebody may have sat down.
    if screens.are_shown() && Screens::are_attended() {
        return Err(screens.wait());
    }
    // Nobody has pressed a key: the file speaks for whoever put it there.
    screens.hide()?;
    let found = found?;
    voice.say(&format!("answers: {}", found.site.display()));
    let draft = screens::read_draft(&found.site)?;
    if boot_words::has(boot_words::SSH) {
        remote::admit(Path::new(remote::FOLDER), &draft.texts("admin.ssh_keys")).or_fail(ExitCode::Internal)?;
        // On consoles alone: the password is none of the log's business.
        voice.show_unlogged(&remote::notice(&Host));
    }
    match what_is_open(&draft) {
        Some(open) if asks => {
            voice.say(&format!("the site file leaves something open: {}; the screens ask for it", open.join(", ")));
            screens.show()?;
            Err(screens.wait())
        }
        // Of what is wrong the reader says what; what is missing, it says too; and `prompt` is answered at the console.
        _ => super::read_site(&found.site).map(|site| (found, site)),
    }
}

/// What a person has to be asked for before a site file is complete; `None` where it is, or where it is wrong: no answer helps that.
fn what_is_open(draft: &Draft) -> Option<Vec<String>> {
    let problems = draft.problems();
    if problems.iter().any(|problem| problem.about.fault != Fault::Missing) {
        return None;
    }
    let mut open: Vec<String> = problems.into_iter().map(|problem| problem.about.path).collect();
    if draft.site().is_ok_and(|site| site.encryption.passphrase == PassphraseSource::Prompt) {
        open.push("the passphrase".to_owned());
    }
    (!open.is_empty()).then_some(open)
}

fn install(args: &Auto, voice: &Voice, media: &mut Vec<AnswerMedium>) -> Result<FinishAction, Failure> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&cancel)).or_fail(ExitCode::Internal)?;
    }
    let (answers, site) = answers(args, voice, media)?;
    let mut keys = BTreeMap::new();
    for name in site.answer_files() {
        keys.insert(name.to_owned(), answers::key_file(&answers.media, name)?);
    }
    let approved = approval::given(&answers.media)?;
    let action = site.finish.action;
    let session = Session {
        site,
        medium: args.medium.clone(),
        keys,
        countdown: args.countdown,
        approved,
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
    fn a_site_file_is_asked_about_where_something_is_missing_and_refused_where_something_is_wrong() {
        let complete = include_str!("../../../model/tests/plans/reference/site.toml");
        let open = |text: &str| what_is_open(&Draft::read(text, "site.toml").unwrap());
        let without =
            |key: &str| complete.lines().filter(|l| !l.starts_with(key)).map(|l| format!("{l}\n")).collect::<String>();
        assert_eq!(open(complete), None);
        let prompted = without("file = ").replace("passphrase = \"file\"", "passphrase = \"prompt\"");
        assert_eq!(open(&prompted).unwrap(), ["the passphrase"]);
        assert_eq!(open(&without("fqdn = ")).unwrap(), ["site.fqdn"]);
        assert_eq!(open(&complete.replace("fqdn = ", "fqnd = ")), None);
    }

    #[test]
    fn udev_gets_all_the_time_that_it_is_promised() {
        let cmd = settle();
        let promised =
            cmd.args.iter().find_map(|arg| arg.strip_prefix("--timeout=")?.parse().ok()).map(Duration::from_secs);
        assert!(promised.is_some_and(|promised| cmd.timeout > promised), "{cmd:?}");
    }
}
