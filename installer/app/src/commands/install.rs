//! `install`: from a shell of the live system, with a site file at hand.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use sovereign_engine::Outcome;
use sovereign_model::exit::ExitCode;
use sovereign_system::runner::Host;

use crate::answers;
use crate::cli::Install;
use crate::consoles::Consoles;
use crate::failure::{Failure, OrFail};
use crate::session::{Session, Voice, tell_failure, tell_logs};

pub fn run(args: &Install) -> Result<ExitCode, Failure> {
    let site = super::read_site(&args.site.site)?;
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new(ExitCode::BadInput, "installing needs root; nothing was touched"));
    }
    let folder = args.keys.clone().or_else(|| args.site.site.parent().map(Path::to_path_buf)).unwrap_or_default();
    let keys = site.answer_files().into_iter().map(|name| (name.to_owned(), folder.join(name))).collect();
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
            let medium = answers::medium_of(&Host, &args.site.site);
            tell_logs(&Host, &voice, medium.as_slice());
            Err(failure)
        }
    }
}
