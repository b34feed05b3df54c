//! The screens of the installer: a state, an update without I/O, and a view that is a function of the state.
//!
//! The app owns the terminal, the clock and the machine. It turns what happens into [`Msg`]s, gives them to [`update`], carries out the [`Cmd`]s
//! that come back, and draws [`view`] when no further message waits:
//!
//! ```text
//! let (mut state, mut todo) = State::start(start);
//! loop {
//!     for cmd in todo { app.carry_out(cmd) }          // beside the screens; answers come as messages
//!     terminal.draw(|frame| view(&state, frame))?;    // costs nothing where nothing changed
//!     todo = update(&mut state, messages.recv()?);    // keys, sizes, a tick a second, events, replies
//! }
//! ```
//!
//! What each command means is said at [`Cmd`], and which message answers it. Screens that show what runs change with [`Msg::Tick`] alone, so a slow
//! line carries at most one frame a second. Nothing is installed without a [`Consent`], which exists only where somebody typed the word of the plan.

mod cmd;
mod field;
mod flow;
mod form;
mod keys;
mod log;
mod msg;
mod page;
mod preview;
mod proposal;
mod recovery;
mod run;
mod screens;
mod state;
mod strength;
mod theme;
mod update;
mod view;

pub use cmd::{Cmd, Consent, Install};
pub use msg::{ArraySync, Ended, Failed, Medium, Msg, Reply};
pub use state::{MIN_COLUMNS, MIN_ROWS, SiteFile, Size, Start, State};
pub use theme::{Charset, Theme};
pub use update::update;
pub use view::view;
