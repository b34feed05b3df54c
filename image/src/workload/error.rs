//! Everything that can be wrong with workloads' images and their lock: the cause, and what to do about it.

use std::io;
use std::path::PathBuf;

use sovereign_model::exit::ExitCode;

use super::manifest::{Digest, ManifestError};
use crate::cache::CacheError;
use crate::file::FileError;
use crate::tool::ToolError;

/// Why there are no images of workloads.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The lock file cannot be read.
    #[error(
        "cannot read the lock file of workloads {path}: check the path, or make one with `sovereign-image workloads lock`"
    )]
    Read {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the lock file of workloads {path}")]
    Write {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be turned into text.
    #[error("cannot write the lock file of workloads as TOML")]
    Serialise(#[from] toml::ser::Error),
    /// It is no lock file of workloads.
    #[error("{place}: {message}; make it anew with `sovereign-image workloads lock`")]
    Parse {
        /// File, line and column.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// An entry that does not fit the overlays, or another entry.
    #[error("{place}: the workload `{workload}` {problem}: lock again with `sovereign-image workloads lock`")]
    Entry {
        /// The file, with line and column where they are known.
        place: String,
        /// Role and name.
        workload: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An address that is none of a registry.
    #[error(
        "`--mirror {option}` is not the address of a registry: give http:// or https:// with host, port and perhaps a path, without a \
         user; `skopeo login` keeps passwords"
    )]
    Mirror {
        /// What was given.
        option: String,
    },
    /// Nothing answers.
    #[error(
        "{workload}: the registry of {image} cannot be reached ({reason}): try again with a network, or name a registry that has the \
         image with --mirror URL"
    )]
    Unreachable {
        /// Role and name.
        workload: String,
        /// What was asked for.
        image: String,
        /// What skopeo said.
        reason: String,
        /// The whole of it.
        #[source]
        source: Box<ToolError>,
    },
    /// The registry wants credentials, or others.
    #[error(
        "{workload}: the registry refuses access to {image}: there is no such image, or it wants a login; check the reference in \
         workload.toml, or run `skopeo login` for that registry"
    )]
    Unauthorised {
        /// Role and name.
        workload: String,
        /// What was asked for.
        image: String,
        /// What skopeo said.
        #[source]
        source: Box<ToolError>,
    },
    /// The registry has had enough.
    #[error(
        "{workload}: the registry gives no more images for now (asked for {image}): wait, run `skopeo login` for that registry, or name \
         another with --mirror URL"
    )]
    TooMany {
        /// Role and name.
        workload: String,
        /// What was asked for.
        image: String,
        /// What skopeo said.
        #[source]
        source: Box<ToolError>,
    },
    /// There is no such image.
    #[error("{workload}: the registry has no {image}: correct `image` in workload.toml, or push it to the mirror")]
    NoTag {
        /// Role and name.
        workload: String,
        /// What was asked for.
        image: String,
        /// What skopeo said.
        #[source]
        source: Box<ToolError>,
    },
    /// What was locked is there no more.
    #[error(
        "{workload}: the registry no longer has {image}: lock again with `sovereign-image workloads lock`, or name a registry that keeps \
         old images with --mirror URL"
    )]
    Gone {
        /// Role and name.
        workload: String,
        /// What was asked for.
        image: String,
        /// What skopeo said.
        #[source]
        source: Box<ToolError>,
    },
    /// The manifest is there, a part of the image is not.
    #[error(
        "{workload}: the registry lacks a part of {image} ({reason}): push the image to it again, or name another registry with \
         --mirror URL"
    )]
    Missing {
        /// Role and name.
        workload: String,
        /// What was asked for.
        image: String,
        /// Which part.
        reason: String,
        /// What skopeo said.
        #[source]
        source: Box<ToolError>,
    },
    /// Something else came than what its digest says.
    #[error(
        "{workload}: what came for {image} is not what its digest says ({reason}): it was altered in the registry or on the way; nothing \
         was built from it. Name another registry with --mirror URL"
    )]
    Mismatch {
        /// Role and name.
        workload: String,
        /// What was asked for.
        image: String,
        /// What differs.
        reason: String,
    },
    /// An image that cannot be used.
    #[error("{workload}: {image} cannot be used: {problem}; give another image in workload.toml")]
    Image {
        /// Role and name.
        workload: String,
        /// The image.
        image: String,
        /// Why.
        problem: ManifestError,
    },
    /// The lock's size is another one.
    #[error(
        "{workload}: {image} has {found} bytes, locked are {locked}: the lock file was changed by hand; lock again with \
         `sovereign-image workloads lock`"
    )]
    Size {
        /// Role and name.
        workload: String,
        /// The image.
        image: Digest,
        /// Bytes of its blobs.
        found: u64,
        /// Bytes in the lock.
        locked: u64,
    },
    /// skopeo failed otherwise.
    #[error("{workload}: cannot get {image}")]
    Skopeo {
        /// Role and name.
        workload: String,
        /// What was asked for.
        image: String,
        /// What skopeo said.
        #[source]
        source: ToolError,
    },
    /// A file cannot be read or written.
    #[error("cannot prepare the workloads' images")]
    File(#[from] FileError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// squashfs cannot be written.
    #[error("cannot write the workloads' images")]
    Tool(#[from] ToolError),
}

impl WorkloadError {
    /// How the process ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Read { .. }
            | Self::Parse { .. }
            | Self::Entry { .. }
            | Self::Mirror { .. }
            | Self::Size { .. }
            | Self::Cache(CacheError::Path { .. }) => ExitCode::BadInput,
            Self::Write { .. }
            | Self::Serialise(_)
            | Self::Unreachable { .. }
            | Self::TooMany { .. }
            | Self::File(_)
            | Self::Cache(_)
            | Self::Tool(_)
            | Self::Skopeo { source: ToolError::Missing { .. } | ToolError::Start { .. }, .. } => ExitCode::Internal,
            Self::Unauthorised { .. }
            | Self::NoTag { .. }
            | Self::Gone { .. }
            | Self::Missing { .. }
            | Self::Mismatch { .. }
            | Self::Image { .. }
            | Self::Skopeo { .. } => ExitCode::BadSource,
        }
    }
}
