//! What the screens ask for, done with the real machine, each beside them in a thread of its own; answers come back as messages.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use sovereign_engine::{Outcome, Sink};
use sovereign_model::Bytes;
use sovereign_model::event::{Amount, Event};
use sovereign_model::exit::ExitCode;
use sovereign_model::plan::Charset;
use sovereign_model::site::Site;
use sovereign_steps::verify_medium;
use sovereign_system::at_terminal;
use sovereign_system::probe::{self, Depth};
use sovereign_system::runner::{self, Host, Runner};
use sovereign_system::tools::{keyboard, sync, udev};
use sovereign_tui::{ArraySync, Cmd, Ended, Failed, Install, Medium, Msg, Reply};
use zeroize::Zeroizing;

use super::{KeyFiles, Setup, links};
use crate::answers::{self, AnswerMedium};
use crate::approval;
use crate::failure::Failure;
use crate::failure::OrFail;
use crate::job::{Job, plan_for};
use crate::logs::{self, RUN_DIR};
use crate::removable;
use crate::secrets;
use crate::session::{Voice, tell_remarks};

/// How often arrays that synchronise are looked at.
const SYNC_POLL: Duration = Duration::from_secs(5);
/// Where things are written that no medium takes.
const RAM: &str = "/run/sovereign";

/// Does what the screens ask for.
pub struct Worker {
    world: Arc<World>,
    sender: Sender<Msg>,
    installing: Arc<AtomicBool>,
    watching: bool,
}

/// Something to be done that answers with a reply, or that only says when it was not.
type Work = Box<dyn FnOnce(&World) -> Option<Reply> + Send>;

/// What all of its threads know.
struct World {
    setup: Setup,
    voice: Voice,
    /// Set to cancel an installation.
    cancel: Arc<AtomicBool>,
    /// One thing at a time mounts media.
    media: Mutex<()>,
}

impl Worker {
    /// A worker that answers to `sender`, and logs to `voice`.
    pub fn new(setup: Setup, voice: Voice, sender: Sender<Msg>) -> Self {
        let world = World { setup, voice, cancel: Arc::new(AtomicBool::new(false)), media: Mutex::new(()) };
        Self { world: Arc::new(world), sender, installing: Arc::new(AtomicBool::new(false)), watching: false }
    }

    /// Whether an installation is going on.
    pub fn is_installing(&self) -> bool {
        self.installing.load(Ordering::Acquire)
    }

    /// Sends the screens a message.
    pub fn send(&self, msg: Msg) {
        // The loop that receives is the one that calls this.
        let _ = self.sender.send(msg);
    }

    /// Says that something could not be done.
    pub fn tell_refused(&self, done: Result<(), String>) {
        if let Err(why) = done {
            self.send(Msg::Reply(Reply::Refused(why)));
        }
    }

    /// Notices what concerns the worker itself: arrays are watched from the moment in which there may be some.
    pub fn heed(&mut self, msg: &Msg) {
        let made = matches!(msg, Msg::Event(Event::StepDone { name, .. }) if name == "create-arrays");
        if made && !self.watching {
            self.watching = true;
            let sender = self.sender.clone();
            thread::spawn(move || {
                while sender.send(Msg::Arrays(arrays())).is_ok() {
                    thread::sleep(SYNC_POLL);
                }
            });
        }
    }

    /// Starts to do what is asked for.
    pub fn carry_out(&mut self, cmd: Cmd) {
        let (world, sender) = (Arc::clone(&self.world), self.sender.clone());
        let reply = |work: Work| {
            let sender = sender.clone();
            thread::spawn(move || {
                // Nobody listens any more when the machine goes down.
                let _ = work(&world).map(|reply| sender.send(Msg::Reply(reply)));
            });
        };
        match cmd {
            Cmd::Probe => self.beside(|_| Msg::Inventory(look())),
            Cmd::VerifyMedium => {
                let (world, sender) = (Arc::clone(&self.world), self.sender.clone());
                thread::spawn(move || {
                    let result = verify(&world.setup.medium, &sender);
                    let _ = sender.send(Msg::Medium(result.map_or_else(Medium::Damaged, |()| Medium::Verified)));
                });
            }
            Cmd::LoadKeyboard { layout } => reply(Box::new(move |_| {
                let loaded = keyboard::load(&Host, &layout).or_fail(ExitCode::BadInput);
                Some(Reply::Keyboard(loaded.map_err(|failure| failure.to_string())))
            })),
            Cmd::DrawRecoveryKey => reply(Box::new(|_| Some(Reply::RecoveryKey(draw())))),
            Cmd::ReadSshKeys => reply(Box::new(|world| {
                let keys = world.with_media(|| removable::ssh_keys(&Host));
                Some(Reply::SshKeys(keys.map_err(|failure| failure.to_string())))
            })),
            Cmd::SaveSite { toml } => {
                reply(Box::new(move |world| Some(Reply::SiteSaved(world.save("site.toml", &toml)))));
            }
            Cmd::WriteRecoverySheet { text } => reply(Box::new(move |world| {
                let written = world.on_answer_medium("recovery-sheet.txt", &text);
                let written = written.ok_or_else(|| {
                    "no answer medium takes it: attach one that can be written, or write the key down by hand"
                        .to_owned()
                });
                Some(Reply::SheetWritten(written))
            })),
            Cmd::ExportLogs => reply(Box::new(|world| Some(Reply::LogsExported(world.export_logs())))),
            Cmd::Install(install) => self.install(*install),
            Cmd::Cancel => self.world.cancel.store(true, Ordering::Release),
            Cmd::Reboot => reply(Box::new(|_| manager("reboot"))),
            Cmd::PowerOff => reply(Box::new(|_| manager("poweroff"))),
            // Both are the terminal's, and so the loop's.
            Cmd::Shell | Cmd::Redraw => {}
        }
    }

    fn beside(&self, work: impl FnOnce(&World) -> Msg + Send + 'static) {
        let (world, sender) = (Arc::clone(&self.world), self.sender.clone());
        thread::spawn(move || sender.send(work(&world)));
    }

    /// A shell in a window of tmux of its own.
    pub fn shell_beside(&self) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            let window = runner::Cmd::new("tmux", ["new-window", "/usr/lib/sovereign/console-shell"]);
            if let Err(failure) = Host.run(&window).or_fail(ExitCode::Internal) {
                let _ = sender.send(Msg::Reply(Reply::Refused(failure.to_string())));
            }
        });
    }

    fn install(&self, install: Install) {
        self.world.cancel.store(false, Ordering::Release);
        self.installing.store(true, Ordering::Release);
        let (world, sender, installing) = (Arc::clone(&self.world), self.sender.clone(), Arc::clone(&self.installing));
        thread::spawn(move || {
            let changed = Arc::new(AtomicBool::new(false));
            let result = world.install(install, &changed, &sender);
            let ended = match result {
                Ok(Outcome::Complete | Outcome::Stopped) => Ended::Complete,
                Err(failure) if failure.code == ExitCode::Cancelled => Ended::Cancelled,
                Err(failure) => {
                    world.voice.say(&format!("{}: {failure}", crate::render::FAILED));
                    Ended::Failed(Failed { error: failure.to_string(), changed: changed.load(Ordering::Acquire) })
                }
            };
            let _ = sender.send(Msg::Ended(ended));
            // Only now: whoever outlives the screens waits for the message above.
            installing.store(false, Ordering::Release);
        });
    }
}

impl World {
    fn with_media<T>(&self, work: impl FnOnce() -> T) -> T {
        let _one = self.media.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    /// The answer media that the screens were started with, and those that were attached since.
    fn media(&self) -> Vec<AnswerMedium> {
        let mut media = self.setup.media.clone();
        // One that cannot be mounted is none.
        let now = answers::media(&Host).unwrap_or_default();
        media.extend(now.into_iter().filter(|medium| !self.setup.media.contains(medium)));
        media
    }

    /// Writes a file onto an answer medium, never over another; `None` where none takes it.
    fn on_answer_medium(&self, name: &str, text: &str) -> Option<String> {
        let written = self.with_media(|| {
            logs::on_answer_medium(&Host, &self.media(), &|mount| logs::fresh_file(mount, name, text))
        })?;
        Some(format!("{} on the answer medium", file_name(&written)))
    }

    /// The same, or else in memory.
    fn save(&self, name: &str, text: &str) -> Result<String, String> {
        if let Some(written) = self.on_answer_medium(name, text) {
            return Ok(written);
        }
        let written = logs::fresh_file(Path::new(RAM), name, text);
        written
            .map(|path| format!("{} (in memory: no answer medium takes it)", path.display()))
            .map_err(|error| format!("cannot write {RAM}/{name}: {error}"))
    }

    fn export_logs(&self) -> Result<String, String> {
        self.with_media(|| {
            if let Some(to) = logs::export(&Host, &self.media(), Path::new(RUN_DIR)) {
                return Ok(format!("{} on the answer medium", file_name(&to)));
            }
            let to = removable::write(&Host, &|mount| logs::copy_into(Path::new(RUN_DIR), mount));
            match to.map_err(|failure| failure.to_string())? {
                Some(to) => Ok(format!("{} on the removable disk", file_name(&to))),
                None => Err(format!(
                    "no answer medium and no removable disk (FAT, exFAT) takes them: attach one and try again. They are in {RUN_DIR}"
                )),
            }
        })
    }

    fn install(&self, install: Install, changed: &Arc<AtomicBool>, sender: &Sender<Msg>) -> Result<Outcome, Failure> {
        let Install { site, passphrase, recovery, consent } = install;
        let voice = self.voice.clone();
        let manifest = verify_medium::read_manifest(&self.setup.medium).or_fail(ExitCode::BadMedium)?;
        let (captures, inventory) = probe::probe(&Host, Depth::Whole).or_fail(ExitCode::Internal)?;
        tell_remarks(&voice, &captures);
        voice.show(&probe::report::describe(&inventory));
        let plan = plan_for(&site, &inventory)?;
        voice.show(&plan.tree_in(Charset::Ascii));
        voice.say(&format!("plan {}", plan.hash()));
        let approved = match &self.setup.approved {
            Some(hash) => Some(hash.clone()),
            None => approval::given(&self.with_media(|| self.media()))?,
        };
        approval::check(approved.as_ref(), &plan)?;
        if plan.hash() != consent.plan_hash() {
            return Err(Failure::new(
                ExitCode::NoPlan,
                "this machine is not what it was when you agreed: its disks or what is on them have changed, and so has the plan.\n\
                 Go back, read the new plan, and agree to that",
            ));
        }
        let files = self.key_files(&site)?;
        let passphrase = match passphrase {
            Some(typed) => typed,
            None => secrets::passphrase_of(&site, &files)?,
        };
        let secrets = secrets::of_site(&site, &files)?;
        let job = Job {
            site,
            looked: inventory,
            plan,
            medium: self.setup.medium.clone(),
            manifest,
            passphrase,
            recovery,
            secrets,
            stop_after: self.setup.stop_after.clone(),
            // A person has agreed: no file that appears now counts.
            recheck: Box::new(|| Ok(())),
            cancel: Arc::clone(&self.cancel),
        };
        let remarks = voice.clone();
        job.run(
            told(voice, sender.clone(), Arc::clone(changed)),
            Box::new(move |captures| tell_remarks(&remarks, captures)),
        )
    }

    fn key_files(&self, site: &Site) -> Result<KeyFiles, Failure> {
        let names = site.answer_files().into_iter();
        let media = self.with_media(|| self.media());
        names
            .map(|name| {
                let path = match &self.setup.keys {
                    Some(folder) => folder.join(name),
                    None => answers::key_file(&media, name)?,
                };
                Ok((name.to_owned(), path))
            })
            .collect()
    }
}

/// Where events go: into the log, and to the screens. `changed` says from when on disks are changed.
fn told(voice: Voice, sender: Sender<Msg>, changed: Arc<AtomicBool>) -> Sink {
    // The engine calls from one thread; a sender may not be shared by several.
    let sender = Mutex::new(sender);
    Arc::new(move |event| {
        if *event == Event::PointOfNoReturn {
            changed.store(true, Ordering::Release);
        }
        voice.event(event);
        // An installation goes on where nobody looks.
        let _ = sender.lock().unwrap_or_else(PoisonError::into_inner).send(Msg::Event(event.clone()));
    })
}

fn look() -> Result<Box<sovereign_model::inventory::Inventory>, String> {
    // Without a service manager udev runs, or there is nothing to wait for. What is not set up yet is found when somebody looks again.
    let _ = udev::start(&Host).and_then(|()| udev::settle(&Host));
    links::raise(&Host, Path::new(links::NET));
    let looked = probe::probe(&Host, Depth::Whole).or_fail(ExitCode::Internal);
    let (_, inventory) = looked.map_err(|failure| failure.to_string())?;
    Ok(Box::new(inventory))
}

/// Reads the whole medium, and says how far it is, once for each per cent.
fn verify(medium: &Path, sender: &Sender<Msg>) -> Result<(), String> {
    let failed = |error| Failure::from_error(ExitCode::BadMedium, &error).to_string();
    let manifest = verify_medium::read_manifest(medium).map_err(failed)?;
    let total = Bytes(manifest.files.iter().map(|file| file.size.get()).sum());
    let mut amount = Amount { done: Bytes::ZERO, total };
    let mut said = None;
    for file in &manifest.files {
        verify_medium::verify_file(medium, file, &mut |bytes| {
            amount.done = Bytes(amount.done.get().saturating_add(bytes));
            let percent = amount.percent();
            said == Some(percent) || {
                said = Some(percent);
                sender.send(Msg::Medium(Medium::Verifying(amount))).is_ok()
            }
        })
        .map_err(failed)?;
    }
    Ok(())
}

fn draw() -> Result<Zeroizing<[u8; 16]>, String> {
    let mut bytes = Zeroizing::new([0; 16]);
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut *bytes))
        .map_err(|error| format!("cannot draw a random key: {error}"))?;
    Ok(bytes)
}

fn arrays() -> Vec<ArraySync> {
    let running = sync::running(Path::new("/dev/md"), Path::new("/sys"));
    let shown = running.into_iter();
    shown.map(|s| ArraySync { name: s.name, amount: Amount { done: s.done, total: s.total }, rate: s.rate }).collect()
}

/// Has the system's manager take the machine down.
fn manager(verb: &str) -> Option<Reply> {
    let told = Host.run(&runner::Cmd::new("systemctl", ["--no-block", verb])).or_fail(ExitCode::Internal);
    told.err().map(|failure| Reply::Refused(failure.to_string()))
}

/// A shell at this terminal, until it ends.
pub fn shell() -> Result<(), String> {
    at_terminal::run(&runner::Cmd::new("bash", ["--login"]))
        .or_fail(ExitCode::Internal)
        .map_err(|failure| failure.to_string())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
