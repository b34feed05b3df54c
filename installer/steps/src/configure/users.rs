//! root: its password hash and its SSH keys. There are no other accounts of people.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use sovereign_engine::StepError;

use crate::context::Context;
use crate::fail::{OrStep, same};
use crate::files::{self, PRIVATE};

const SHADOW: &str = "/etc/shadow";
const KEYS: &str = "/root/.ssh/authorized_keys";
/// What stands for "no password opens this account" in /etc/shadow.
const NO_PASSWORD: &str = "*";

/// Writes both.
///
/// # Errors
/// /etc/shadow has no root, or the file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    let admin = &context.plan.site.admin;
    let path = context.on_target(SHADOW);
    let hash = admin.root_password_hash.as_deref().unwrap_or(NO_PASSWORD);
    let text =
        with_hash(&files::read(&path)?, hash).ok_or_else(|| StepError::new("the target's /etc/shadow has no root"))?;
    // The file stays what it is, with its owner and group; only its text changes.
    std::fs::write(&path, text).or_step("cannot write the target's /etc/shadow")?;
    if !admin.ssh_keys.is_empty() {
        files::folder(&context.on_target("/root/.ssh"), 0o700)?;
        let keys: String = admin.ssh_keys.iter().map(|k| format!("{}\n", k.trim())).collect();
        files::write(&context.on_target(KEYS), keys.as_bytes(), PRIVATE)?;
    }
    Ok(())
}

/// Nobody but root (and the group shadow) may read either.
///
/// # Errors
/// A mode is wrong.
pub fn check(context: &Context) -> Result<(), StepError> {
    let path = context.on_target(SHADOW);
    let metadata = path.metadata().or_step("cannot read the target's /etc/shadow")?;
    same("the owner of /etc/shadow", SHADOW, &0, &metadata.uid())?;
    let others = Permissions::mode(&metadata.permissions()) & 0o007;
    same("what others may do with /etc/shadow", SHADOW, &0, &others)?;
    if !context.plan.site.admin.ssh_keys.is_empty() {
        same("the mode of root's keys", KEYS, &PRIVATE, &files::mode(&context.on_target(KEYS))?)?;
    }
    Ok(())
}

/// shadow(5) with root's hash replaced; `None` where there is no root.
fn with_hash(shadow: &str, hash: &str) -> Option<String> {
    let mut found = false;
    let mut out = String::with_capacity(shadow.len() + hash.len());
    for line in shadow.lines() {
        match line.strip_prefix("root:").and_then(|rest| rest.split_once(':')) {
            Some((_, rest)) => {
                found = true;
                out += &format!("root:{hash}:{rest}\n");
            }
            None => out += &format!("{line}\n"),
        }
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hash_of_root_changes() {
        let shadow = "daemon:*:20000:0:99999:7:::\nroot:*:20000:0:99999:7:::\nrooter:*:1::::::\n";
        assert_eq!(
            with_hash(shadow, "$y$j9T$abc$def").unwrap(),
            "daemon:*:20000:0:99999:7:::\nroot:$y$j9T$abc$def:20000:0:99999:7:::\nrooter:*:1::::::\n"
        );
        assert_eq!(with_hash("daemon:*:::\n", "x"), None);
    }
}
