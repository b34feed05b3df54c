//! Secrets that the first boot uses: on the encrypted root, for root's eyes alone, until then.

use sovereign_engine::StepError;
use sovereign_model::installed::SECRETS;

use crate::context::Context;
use crate::fail::same;
use crate::files::{self, SEALED};

/// Writes them; without any, not even their folder.
///
/// # Errors
/// The file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    if context.secrets.is_empty() {
        return Ok(());
    }
    files::folder(&context.on_target("/etc/sovereign"), 0o700)?;
    files::folder(&context.on_target(SECRETS), 0o700)?;
    for (path, secret) in &context.secrets {
        files::write(&context.on_target(path), secret.expose(), SEALED)?;
    }
    Ok(())
}

/// Nobody else may read them.
///
/// # Errors
/// A mode is wrong.
pub fn check(context: &Context) -> Result<(), StepError> {
    for (path, _) in &context.secrets {
        same("the mode of the secret", path, &SEALED, &files::mode(&context.on_target(path))?)?;
    }
    Ok(())
}
