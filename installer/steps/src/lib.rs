//! The steps of an installation, one file a step: what the engine runs.
//!
//! ```text
//! let mut context = Context { plan, .., runner: Arc::new(Logged::new(Arc::new(Host), sink.clone())), .. };
//! let engine = sovereign_steps::engine(&plan);
//! let outcome = engine.run(&mut context, &options)?;
//! ```

pub mod context;
pub mod logged;

pub use context::{Context, Found, Reprobe};
use sovereign_engine::Engine;
use sovereign_model::plan::Plan;

/// The steps that carry out a plan.
pub fn engine(_plan: &Plan) -> Engine<Context> {
    Engine::new(Vec::new(), Vec::new())
}
