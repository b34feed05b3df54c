//! Secrets that the first boot uses: on the encrypted root, for root's eyes alone, until then.

use sovereign_engine::StepError;
use sovereign_model::installed::SECRETS;

use crate::context::Context;
use crate::fail::same;
use crate::files::{self, SEALED};

/// Whether there are any, and a first boot that uses them: without Proxmox VE nobody would, and they would lie there for ever.
fn is_wanted(context: &Context) -> bool {
    context.is_proxmox() && !context.secrets.is_empty()
}

/// Writes them; without any, not even their folder.
///
/// # Errors
/// The file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    if !is_wanted(context) {
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
    for (path, _) in context.secrets.iter().filter(|_| is_wanted(context)) {
        same("the mode of the secret", path, &SEALED, &files::mode(&context.on_target(path))?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sovereign_model::Passphrase;
    use sovereign_model::installed::CLUSTER_PASSWORD;

    use super::*;
    use crate::testing::{context, proxmox_live};

    #[test]
    fn a_machine_without_proxmox_keeps_no_secret_of_others() {
        let target = tempfile::tempdir().unwrap();
        let (mut context, _) = context("reference", target.path());
        context.secrets = vec![(CLUSTER_PASSWORD, Passphrase::from_key(b"word".to_vec()))];
        write(&context).unwrap();
        check(&context).unwrap();
        assert!(!context.on_target(SECRETS).exists());
        let live = proxmox_live();
        context.live = live.path().to_owned();
        write(&context).unwrap();
        check(&context).unwrap();
        assert_eq!(files::mode(&context.on_target(CLUSTER_PASSWORD)).unwrap(), SEALED);
    }
}
