//! One file a tool: typed arguments in, parsed results out; each goes through the [`crate::runner::Runner`].
