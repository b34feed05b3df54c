//! What the installer knows and decides, as plain types and pure functions: no I/O, no clock, no randomness.
//!
//! The way of the data: a [`site::Site`] (what is wanted) and an [`inventory::Inventory`] (what is there) make a
//! [`plan::Plan`] (what will be done), which the engine turns into [`event::Event`]s. Everything a person must agree
//! to is decided here, to the byte, and can be tested on any machine.

pub mod bytes;
pub mod capacity;
pub mod erase;
pub mod event;
pub mod exit;
pub mod firewall;
pub mod installed;
pub mod inventory;
pub mod layout;
pub mod medium;
pub mod memory_encryption;
pub mod plan;
pub mod role;
pub mod secret;
pub mod site;
pub mod text;
pub mod workload;

pub use bytes::Bytes;
pub use secret::Passphrase;
