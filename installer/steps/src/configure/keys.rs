//! Key files that open containers from the encrypted root, and backups of the LUKS headers. The slots of the key files are made with the
//! containers, while the volume key is at hand.

use std::fs::File;
use std::io::Read;

use sovereign_engine::StepError;
use sovereign_model::Passphrase;
use sovereign_system::tools::cryptsetup;
use sovereign_system::tools::luks::KEY_FILE_SLOT;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::fail::{OrStep, same};
use crate::files::{self, SEALED};

/// Bytes of a key file: as many as the volume key has.
const KEY_BYTES: usize = 64;
/// Folder of header backups on the target.
const HEADERS: &str = "/etc/sovereign/luks-headers";

/// A key of random bytes.
///
/// # Errors
/// The kernel gives none.
pub fn draw() -> Result<Passphrase, StepError> {
    let mut bytes = Zeroizing::new(vec![0; KEY_BYTES]);
    File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes)).or_step("cannot draw a random key")?;
    Ok(Passphrase::from_key(std::mem::take(&mut *bytes)))
}

/// Writes the key files, then backs up every header.
///
/// # Errors
/// A key was not drawn, or cryptsetup's, the file system's.
pub fn write(context: &Context) -> Result<(), StepError> {
    for folder in ["/etc/sovereign", "/etc/sovereign/keys", HEADERS] {
        files::folder(&context.on_target(folder), 0o700)?;
    }
    for container in &context.plan.containers {
        let Some(path) = &container.key_file else { continue };
        let key = context.found.keys.get(&container.name).ok_or_else(|| {
            StepError::new(format!("the key of `{}` is not known: an earlier step did not run", container.name))
        })?;
        files::write(&context.on_target(path), key.expose(), SEALED)?;
    }
    for container in &context.plan.containers {
        let device = context.base(container);
        let file = context.on_target(&format!("{HEADERS}/{}.img", container.name));
        cryptsetup::header_backup(context.runner.as_ref(), &device, &file.to_string_lossy())
            .or_step_on("cannot back up the header", &device)?;
    }
    Ok(())
}

/// The backup of a header is one, of this container, and has the same key slots.
fn backup_is_whole(context: &Context, container: &str, device: &str, file: &str) -> Result<(), StepError> {
    let runner = context.runner.as_ref();
    let wanted = Context::known(&context.found.containers, container)?;
    let uuid = cryptsetup::uuid(runner, file).or_step_on("the backup of the header cannot be read", file)?;
    same("the UUID in the backup of the header", file, &wanted, &uuid.as_str())?;
    let header = cryptsetup::dump(runner, device).or_step_on("cannot read the header", device)?;
    let backup = cryptsetup::dump(runner, file).or_step_on("the backup of the header cannot be read", file)?;
    same("the backup of the header", file, &header, &backup)
}

/// Each key file opens its container; header backups are whole; modes are tight; slots are what they should be.
///
/// # Errors
/// What is wrong.
pub fn check(context: &Context) -> Result<(), StepError> {
    let runner = context.runner.as_ref();
    for container in &context.plan.containers {
        let device = context.base(container);
        let backup = format!("{HEADERS}/{}.img", container.name);
        same("the mode of the header backup", &backup, &SEALED, &files::mode(&context.on_target(&backup))?)?;
        backup_is_whole(context, &container.name, &device, &context.on_target(&backup).to_string_lossy())?;
        let Some(path) = &container.key_file else { continue };
        let file = context.on_target(path);
        same("the mode of the key file", path, &SEALED, &files::mode(&file)?)?;
        let key = std::fs::read(&file).or_step(&format!("cannot read {}", file.display()))?;
        cryptsetup::test_key(runner, &device, KEY_FILE_SLOT, &Passphrase::from_key(key))
            .or_step_on("the key file does not open the container", &device)?;
        let header = cryptsetup::dump(runner, &device).or_step_on("cannot read the header", &device)?;
        let slots: Vec<&str> = header.slots.iter().map(|s| s.kdf.as_str()).collect();
        let recovery = context.recovery.as_ref().map(|_| "argon2id");
        let wanted: Vec<&str> = ["argon2id", "pbkdf2"].into_iter().chain(recovery).collect();
        same("the list of key slots", &device, &wanted, &slots)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::context;
    use sovereign_system::testing::Recorder;

    /// cryptsetup 2.7.5, `luksDump --dump-json-metadata`, shortened; the slot is `number`.
    fn dump(number: u32) -> String {
        format!(
            r#"{{ "keyslots": {{ "{number}": {{"type":"luks2","key_size":64,"kdf":{{"type":"argon2id","time":4,
            "memory":{number},"cpus":4}}}} }}, "segments": {{ "0": {{"offset":"16777216","encryption":"aes-xts-plain64",
            "sector_size":4096}} }}, "config": {{}} }}"#
        )
    }

    #[test]
    fn a_backup_of_another_header_is_none() {
        let target = tempfile::tempdir().unwrap();
        let mut context = context("reference", target.path()).0;
        let checked = |context: &mut Context, uuid: &str, slot| {
            let recorder = Recorder::new()
                .prints("cryptsetup luksUUID", uuid)
                .prints("cryptsetup luksDump --dump-json-metadata /dev/md/ssd", &dump(0))
                .prints("cryptsetup luksDump --dump-json-metadata /b.img", &dump(slot));
            context.runner = Arc::new(recorder);
            backup_is_whole(context, "luks-ssd", "/dev/md/ssd", "/b.img").map_err(|e| e.render())
        };
        checked(&mut context, "container-of-luks-ssd\n", 0).unwrap();
        assert!(checked(&mut context, "container-of-luks-hdd\n", 0).unwrap_err().contains("UUID"));
        assert!(
            checked(&mut context, "container-of-luks-ssd\n", 1).unwrap_err().starts_with("the backup of the header is")
        );
    }
}
