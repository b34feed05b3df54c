//! What assembles and opens the disks at boot: mdadm.conf and crypttab. The pools' LVM profiles are files of the image.

use sovereign_engine::StepError;

use crate::context::{Context, ROOT, array_path};
use crate::create_arrays::host_name;
use crate::files::{self, PUBLIC};
use sovereign_system::tools::luks::KEY_FILE_SLOT;

/// How long systemd waits for the device of something that does not hold up the boot.
pub const PATIENCE: &str = "180s";

/// Writes both.
///
/// # Errors
/// A UUID is not known, or the file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    files::write(&context.on_target("/etc/mdadm/mdadm.conf"), mdadm_conf(context)?.as_bytes(), PUBLIC)?;
    files::write(&context.on_target("/etc/crypttab"), crypttab(context)?.as_bytes(), PUBLIC)?;
    // Scrubs every array once a month, in pieces, at night.
    let timer = "mdcheck_start.timer";
    if context.on_target(&format!("/usr/lib/systemd/system/{timer}")).exists() {
        let link = format!("/etc/systemd/system/mdmonitor.service.wants/{timer}");
        files::link(&context.on_target(&link), &format!("/usr/lib/systemd/system/{timer}"))?;
    }
    Ok(())
}

/// mdadm.conf. ARRAY lines with UUIDs make the arrays this machine's own, which is what lets them start with a member missing.
///
/// # Errors
/// A UUID is not known.
pub fn mdadm_conf(context: &Context) -> Result<String, StepError> {
    let host = host_name(&context.plan.site.site.fqdn);
    let mut text = format!(
        "# Written by the installer. After a change: update-initramfs -u\nHOMEHOST {host}\nMAILADDR {}\n",
        quoted(&context.plan.site.admin.email)
    );
    for array in &context.plan.arrays {
        let uuid = Context::known(&context.found.arrays, &array.name)?;
        text += &format!("ARRAY {} metadata=1.2 name={host}:{} UUID={uuid}\n", array_path(&array.name), array.name);
    }
    Ok(text)
}

/// A word of mdadm.conf(5), where an apostrophe begins a quotation and `#` a comment. No address that a site file can hold has double quotes.
fn quoted(email: &str) -> String {
    if email.contains('\'') || email.starts_with('#') { format!("\"{email}\"") } else { email.to_owned() }
}

/// The container of the root volume, opened in the initramfs.
fn root_container(context: &Context) -> Result<&str, StepError> {
    let group = context.plan.volume_groups.iter().find(|g| g.volumes.iter().any(|v| v.name == ROOT));
    group.map(|g| g.container.as_str()).ok_or_else(|| StepError::new("the plan has no root volume"))
}

/// One line of crypttab for each container.
fn crypttab(context: &Context) -> Result<String, StepError> {
    let mut text = String::from("# Written by the installer. After a change: update-initramfs -u\n");
    for line in lines(context)? {
        text += &line;
    }
    Ok(text)
}

fn lines(context: &Context) -> Result<Vec<String>, StepError> {
    let root = root_container(context)?;
    let mut lines = Vec::new();
    for container in &context.plan.containers {
        let uuid = Context::known(&context.found.containers, &container.name)?;
        let discard = if container.discard { ",discard" } else { "" };
        let (key, options) = if container.name == root {
            ("none", "luks,initramfs".to_owned())
        } else {
            // Never holds up a boot, so it may wait: with a member missing its array takes 30 s to start, with all missing it never
            // does. The slot is named because guesses at the passphrase's are dear.
            match container.key_file.as_deref() {
                Some(key) => (key, format!("luks,nofail,x-systemd.device-timeout={PATIENCE},key-slot={KEY_FILE_SLOT}")),
                None => ("none", format!("luks,nofail,x-systemd.device-timeout={PATIENCE}")),
            }
        };
        lines.push(format!("{} UUID={uuid} {key} {options}{discard}\n", container.name));
    }
    Ok(lines)
}

/// What Debian's hook puts into the initramfs: the line of the root container alone.
///
/// # Errors
/// A UUID is not known.
pub fn initramfs_crypttab(context: &Context) -> Result<String, StepError> {
    let root = format!("{} ", root_container(context)?);
    Ok(lines(context)?.into_iter().filter(|l| l.starts_with(&root)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_word_of_mdadm_conf() {
        for (email, word) in [
            ("admin@example.org", "admin@example.org"),
            ("o'neill@example.org", "\"o'neill@example.org\""),
            ("#1@example.org", "\"#1@example.org\""),
        ] {
            assert_eq!(quoted(email), word);
        }
    }
}
