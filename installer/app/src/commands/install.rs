//! `install`: from a shell of the live system, and what the screens on the consoles are: with the screens at a terminal, and as lines elsewhere.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use sovereign_engine::Outcome;
use sovereign_model::exit::ExitCode;
use sovereign_model::plan::PlanHash;
use sovereign_system::runner::Host;

use super::boot_words;
use crate::answers::{self, AnswerMedium};
use crate::approval;
use crate::cli::Install;
use crate::consoles::Consoles;
use crate::failure::{Failure, OrFail};
use crate::screens;
use crate::session::{Session, Voice, tell_failure, tell_logs};

pub fn run(args: &Install) -> Result<ExitCode, Failure> {
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if args.plain || !is_terminal {
        return plain(args);
    }
    on_screens(args).inspect_err(|failure| {
        // tmux shows a program's last words to nobody; whoever started it there reads them here. Elsewhere the terminal has them.
        if std::env::var_os("TMUX").is_some() {
            let _ = std::fs::write(screens::ENDED, failure.to_string());
        }
    })
}

fn needs_root() -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::new(ExitCode::BadInput, "installing needs root; nothing was touched"))
}

/// The folder of the files that the site file names.
fn keys_folder(args: &Install, site: &Path) -> PathBuf {
    args.keys.clone().or_else(|| site.parent().map(Path::to_path_buf)).unwrap_or_default()
}

/// The plan that was approved elsewhere, as the command line or a file beside the site file says.
fn approved(args: &Install, media: &[AnswerMedium]) -> Result<Option<PlanHash>, Failure> {
    match &args.plan_hash {
        Some(hash) => Ok(Some(hash.clone())),
        None => approval::given(media),
    }
}

fn on_screens(args: &Install) -> Result<ExitCode, Failure> {
    needs_root()?;
    let (found, media) = match &args.site {
        Some(site) => (Some(site.clone()), answers::medium_of(&Host, site).into_iter().collect()),
        None => answers::now(&Host, &args.medium)?,
    };
    let keys = args.keys.clone().or_else(|| args.site.as_ref().map(|site| keys_folder(args, site)));
    let approved = approved(args, &media)?;
    screens::run(screens::Setup {
        medium: args.medium.clone(),
        site: found,
        keys,
        media,
        approved,
        ascii: args.ascii || boot_words::has(boot_words::ASCII),
        stop_after: args.stop_after.clone(),
    })
}

fn plain(args: &Install) -> Result<ExitCode, Failure> {
    let Some(path) = &args.site else {
        return Err(Failure::new(
            ExitCode::BadInput,
            "without the screens (--plain, or no terminal) the answers come from a file: name it with --site FILE",
        ));
    };
    let site = super::read_site(path)?;
    needs_root()?;
    let folder = keys_folder(args, path);
    let keys = site.answer_files().into_iter().map(|name| (name.to_owned(), folder.join(name))).collect();
    let media: Vec<AnswerMedium> = answers::medium_of(&Host, path).into_iter().collect();
    let approved = approved(args, &media)?;
    // Cancels before the point of no return; after it the engine says that it is too late, and goes on.
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&cancel)).or_fail(ExitCode::Internal)?;
    }
    let voice = Voice::new(Consoles::stdout());
    let session = Session {
        site,
        medium: args.medium.clone(),
        keys,
        countdown: args.countdown,
        approved,
        stop_after: args.stop_after.clone(),
        patience: Duration::ZERO,
        terminal: "/dev/tty",
        // The site file was named on the command line.
        recheck: Box::new(|| Ok(())),
    };
    match session.run(&voice, &cancel) {
        Ok(Outcome::Complete) => Ok(ExitCode::Done),
        Ok(Outcome::Stopped) => {
            voice.say("stopped where --stop-after says; the installation is not complete");
            Ok(ExitCode::Done)
        }
        Err(failure) => {
            tell_failure(&voice, &failure);
            let medium = answers::medium_of(&Host, path);
            tell_logs(&Host, &voice, medium.as_slice());
            Err(failure)
        }
    }
}
