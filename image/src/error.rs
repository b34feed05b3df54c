//! Every way a command of `sovereign-image` can fail, and the exit code of each.

use std::path::PathBuf;

use sovereign_model::exit::ExitCode;

use crate::embed::EmbedError;
use crate::fetch::FetchError;
use crate::resolve::ResolveError;
use crate::root::RootError;
use crate::{
    base, cache, edition, embed, fetch, file, guest, initrd, inspect, iso, lock, mirror, output, overlay, resolve,
    source, tool, verify, workload, write,
};

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] file::FileError),
    /// The installer was not compiled.
    #[error(
        "there is no installer at {path}: run `cargo build --release -p sovereign-app`, or name it with --installer"
    )]
    NoInstaller {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// See [`edition::EditionError`].
    #[error(transparent)]
    Edition(#[from] edition::EditionError),
    /// See [`source::SourceError`].
    #[error(transparent)]
    Source(#[from] source::SourceError),
    /// See [`lock::LockError`].
    #[error(transparent)]
    Lock(#[from] lock::LockError),
    /// See [`mirror::MirrorError`].
    #[error(transparent)]
    Mirror(#[from] mirror::MirrorError),
    /// See [`resolve::ResolveError`].
    #[error(transparent)]
    Resolve(#[from] resolve::ResolveError),
    /// See [`fetch::FetchError`].
    #[error(transparent)]
    Fetch(#[from] fetch::FetchError),
    /// See [`cache::CacheError`].
    #[error(transparent)]
    Cache(#[from] cache::CacheError),
    /// See [`base::BaseError`].
    #[error(transparent)]
    Base(#[from] base::BaseError),
    /// See [`guest::RolesError`].
    #[error(transparent)]
    Roles(#[from] guest::RolesError),
    /// See [`guest::layers::GuestError`].
    #[error(transparent)]
    Guest(#[from] guest::layers::GuestError),
    /// See [`workload::WorkloadError`].
    #[error(transparent)]
    Workload(#[from] workload::WorkloadError),
    /// See [`overlay::OverlayError`].
    #[error(transparent)]
    Overlay(#[from] overlay::OverlayError),
    /// See [`initrd::InitrdError`].
    #[error(transparent)]
    Initrd(#[from] initrd::InitrdError),
    /// See [`iso::IsoError`].
    #[error(transparent)]
    Iso(#[from] iso::IsoError),
    /// See [`inspect::InspectError`].
    #[error(transparent)]
    Inspect(#[from] inspect::InspectError),
    /// See [`verify::VerifyError`].
    #[error(transparent)]
    Verify(#[from] verify::VerifyError),
    /// See [`embed::EmbedError`].
    #[error(transparent)]
    Embed(#[from] embed::EmbedError),
    /// See [`write::WriteError`].
    #[error(transparent)]
    Write(#[from] write::WriteError),
    /// See [`tool::ToolError`].
    #[error(transparent)]
    Tool(#[from] tool::ToolError),
    /// See [`output::OutputError`].
    #[error(transparent)]
    Output(#[from] output::OutputError),
    /// JSON cannot be written.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Why nothing answers, if that is what is wrong.
    pub fn silence(&self) -> Option<&str> {
        match self {
            Self::Resolve(ResolveError::Unreachable { reason, .. }) => Some(reason),
            Self::Source(error) => error.silence(),
            _ => None,
        }
    }

    /// How the process ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Source(error) => error.exit_code(),
            Self::Resolve(ResolveError::NoPackage { .. } | ResolveError::Unmet { .. })
            | Self::Base(base::BaseError::Root(
                RootError::Kernel { .. } | RootError::Kernels { .. } | RootError::Fetch(FetchError::Mismatch { .. }),
            ))
            | Self::Guest(guest::layers::GuestError::Root(
                RootError::Kernel { .. } | RootError::Kernels { .. } | RootError::Fetch(FetchError::Mismatch { .. }),
            ))
            | Self::Fetch(FetchError::Mismatch { .. }) => ExitCode::BadSource,
            Self::NoInstaller { .. }
            | Self::Edition(_)
            | Self::Roles(_)
            | Self::Lock(_)
            | Self::Mirror(_)
            | Self::Cache(cache::CacheError::Path { .. })
            | Self::Write(write::WriteError::Refused { .. })
            | Self::Embed(
                EmbedError::Site { .. }
                | EmbedError::SiteKind { .. }
                | EmbedError::NoFolder { .. }
                | EmbedError::NotText { .. }
                | EmbedError::Secret { .. }
                | EmbedError::Invalid(_)
                | EmbedError::SameFile { .. }
                | EmbedError::NotFile { .. },
            ) => ExitCode::BadInput,
            Self::Workload(error) => error.exit_code(),
            Self::Inspect(error) => error.exit_code(),
            Self::Verify(error)
            | Self::Write(write::WriteError::Verify(error))
            | Self::Embed(EmbedError::Verify(error)) => error.exit_code(),
            _ => ExitCode::Internal,
        }
    }
}
