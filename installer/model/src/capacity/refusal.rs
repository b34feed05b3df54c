//! Why a machine is too small for its guests, in threads and bytes, and what to do about it.

use crate::bytes::Bytes;
use crate::plan::{Pool, pool_name};

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fewer threads than a role needs at least.
    #[error(
        "role {role} needs {needed} threads at least, and the machine has {there}: {} missing; use a larger machine, or pin \
         guests.roles.{role}.vcpus", missing(*needed, *there)
    )]
    Threads {
        /// The role.
        role: String,
        /// Its floor.
        needed: u32,
        /// What there is.
        there: u32,
    },
    /// More virtual CPUs are pinned than there are threads.
    #[error(
        "guests.roles.{role}.vcpus pins {pinned}, and the machine has {there} threads: {} missing, and no machine starts with more \
         CPUs than its host has; pin {there} or less", missing(*pinned, *there)
    )]
    PinnedThreads {
        /// The role.
        role: String,
        /// What the site asks for.
        pinned: u32,
        /// What there is.
        there: u32,
    },
    /// Not enough RAM.
    #[error(
        "the guests need {} bytes of RAM at least ({parts}), and the host leaves them {} bytes: {} bytes are missing; add RAM, or pin \
         less with guests.roles.ROLE.memory", needed.exact(), there.exact(), needed.saturating_sub(*there).exact()
    )]
    Memory {
        /// Each role's least, in words.
        parts: String,
        /// Their sum, with what QEMU takes.
        needed: Bytes,
        /// What the host leaves.
        there: Bytes,
    },
    /// Not enough space.
    #[error(
        "the guests need {} bytes of the {} pool at least ({parts}), and it has {} bytes: {} bytes are missing; use larger disks, or pin \
         less with guests.roles.ROLE.{}", needed.exact(), pool_name(*pool), there.exact(), needed.saturating_sub(*there).exact(),
        pool_name(*pool)
    )]
    Space {
        /// Which pool.
        pool: Pool,
        /// Each role's least, in words.
        parts: String,
        /// Their sum, in whole extents.
        needed: Bytes,
        /// What the pool has for guests.
        there: Bytes,
    },
    /// The SSD pool would be over-committed, and the site has not said whether it may be.
    #[error(
        "the machines' volumes take {} bytes and the ssd pool has {}: {} bytes are missing, an over-commitment of {ratio}; accept it with \
         guests.ssd_overcommit = true, or let elastic volumes shrink until they fit with guests.ssd_overcommit = false",
        needed.exact(), there.exact(), needed.saturating_sub(*there).exact()
    )]
    Overcommitted {
        /// What the volumes take.
        needed: Bytes,
        /// What the pool has.
        there: Bytes,
        /// One by the other, four places.
        ratio: String,
    },
    /// A figure is pinned below what any machine runs with.
    #[error("guests.roles.{role}.{key} pins {} bytes, and a machine needs {} at least: pin more", pinned.exact(), least.exact())]
    PinTooSmall {
        /// The role.
        role: String,
        /// `memory`, `ssd` or `hdd`.
        key: &'static str,
        /// What the site asks for.
        pinned: Bytes,
        /// The least.
        least: Bytes,
    },
    /// Templates share blocks with machines, which thick volumes cannot.
    #[error(
        "[guests] needs a thin pool on the SSDs, as templates and machines share their blocks: remove volumes = \"thick\" from \
         [storage.ssd]"
    )]
    ThickSsd,
}

fn missing(needed: u32, there: u32) -> String {
    match needed.saturating_sub(there) {
        1 => "1 is".to_owned(),
        n => format!("{n} are"),
    }
}
