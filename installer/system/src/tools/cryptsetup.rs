//! The program cryptsetup 2.7, for what the library binding cannot do: opening with flags, header backup, erasing.

use sovereign_model::Passphrase;

use super::luks::Measured;
use crate::runner::{Cmd, RunError, Runner};

/// How a container is opened. The flags are stored in its header, so later opens use them too.
#[derive(Debug, Clone, Copy)]
pub struct Open<'a> {
    /// The container.
    pub device: &'a str,
    /// Name of the mapping.
    pub name: &'a str,
    /// Whether discards pass.
    pub discard: bool,
    /// Whether the read and write work queues are bypassed.
    pub no_workqueue: bool,
}

/// Opens a container.
///
/// # Errors
/// [`RunError`].
pub fn open(runner: &dyn Runner, open: &Open<'_>, key: &Passphrase) -> Result<(), RunError> {
    let mut args = vec!["open", "--type", "luks2", "--key-file=-"];
    if open.discard {
        args.push("--allow-discards");
    }
    if open.no_workqueue {
        args.extend(["--perf-no_read_workqueue", "--perf-no_write_workqueue"]);
    }
    if open.discard || open.no_workqueue {
        args.push("--persistent");
    }
    args.extend([open.device, open.name]);
    runner.run(&Cmd::new("cryptsetup", args).secret(key.expose())).map(drop)
}

/// Closes a mapping.
///
/// # Errors
/// [`RunError`]: most often something still uses it.
pub fn close(runner: &dyn Runner, name: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("cryptsetup", ["close", name])).map(drop)
}

/// Whether a key fits one slot of a container, without opening it. Other slots, whose guesses are dear, are not tried.
///
/// # Errors
/// [`RunError`], also where the key does not fit.
pub fn test_key(runner: &dyn Runner, device: &str, slot: u8, key: &Passphrase) -> Result<(), RunError> {
    let slot = slot.to_string();
    let args = ["open", "--type", "luks2", "--key-file=-", "--key-slot", &slot, "--test-passphrase", device];
    runner.run(&Cmd::new("cryptsetup", args).secret(key.expose())).map(drop)
}

/// Copies the header, key slots included, to a file that must not exist.
///
/// # Errors
/// [`RunError`].
pub fn header_backup(runner: &dyn Runner, device: &str, file: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("cryptsetup", ["luksHeaderBackup", device, "--header-backup-file", file])).map(drop)
}

/// The UUID of a container, or of a backup of its header.
///
/// # Errors
/// [`RunError`]: also where there is no header.
pub fn uuid(runner: &dyn Runner, container: &str) -> Result<String, RunError> {
    Ok(runner.run(&Cmd::new("cryptsetup", ["luksUUID", container]))?.stdout.trim().to_owned())
}

/// Destroys every key slot: what is in the container is lost for ever.
///
/// # Errors
/// [`RunError`].
pub fn erase(runner: &dyn Runner, device: &str) -> Result<(), RunError> {
    runner.run(&Cmd::new("cryptsetup", ["erase", "--batch-mode", device])).map(drop)
}

/// What a LUKS2 header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Cipher, such as `aes-xts-plain64`.
    pub cipher: String,
    /// Encryption sector size in bytes.
    pub sector: u32,
    /// Where data starts, in bytes.
    pub offset: u64,
    /// Flags that are stored in the header, such as `allow-discards`.
    pub flags: Vec<String>,
    /// Key slots in order.
    pub slots: Vec<Slot>,
}

/// A key slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Bytes of the volume key in it.
    pub key_size: u32,
    /// `argon2id` or `pbkdf2`.
    pub kdf: String,
    /// Cost of one guess; `None` for pbkdf2.
    pub argon2: Option<Measured>,
}

/// Reads the header of a container, or a backup of one.
///
/// # Errors
/// [`RunError`].
pub fn dump(runner: &dyn Runner, device: &str) -> Result<Header, RunError> {
    let cmd = Cmd::new("cryptsetup", ["luksDump", "--dump-json-metadata", device]);
    let output = runner.run(&cmd)?;
    parse_dump(&output.stdout).map_err(|reason| RunError::Unexpected { line: cmd.line(), reason })
}

/// Reads `cryptsetup luksDump --dump-json-metadata` (cryptsetup 2.7).
///
/// # Errors
/// What is missing.
pub fn parse_dump(text: &str) -> Result<Header, String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let field = |path: &str| json.pointer(path).ok_or_else(|| format!("it has no {path}"));
    let segment = field("/segments/0")?;
    let offset = segment["offset"].as_str().and_then(|t| t.parse().ok()).ok_or("the segment has no offset")?;
    let sector = segment["sector_size"].as_u64().and_then(|n| u32::try_from(n).ok());
    let mut slots: Vec<(u32, Slot)> = Vec::new();
    for (number, slot) in field("/keyslots")?.as_object().ok_or("keyslots is no object")? {
        slots.push((
            number.parse().map_err(|_| format!("`{number}` is no key slot"))?,
            Slot {
                key_size: slot["key_size"].as_u64().and_then(|n| u32::try_from(n).ok()).ok_or("a slot has no key")?,
                kdf: slot["kdf"]["type"].as_str().ok_or("a slot has no kdf")?.to_owned(),
                argon2: argon2(&slot["kdf"]),
            },
        ));
    }
    slots.sort_by_key(|(number, _)| *number);
    let flags = json.pointer("/config/flags").and_then(serde_json::Value::as_array);
    Ok(Header {
        cipher: segment["encryption"].as_str().ok_or("the segment has no cipher")?.to_owned(),
        sector: sector.ok_or("the segment has no sector size")?,
        offset,
        flags: flags.map(|f| f.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()).unwrap_or_default(),
        slots: slots.into_iter().map(|(_, slot)| slot).collect(),
    })
}

fn argon2(kdf: &serde_json::Value) -> Option<Measured> {
    let number = |key: &str| kdf[key].as_u64().and_then(|n| u32::try_from(n).ok());
    Some(Measured { iterations: number("time")?, memory_kib: number("memory")?, parallel: number("cpus")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorder;

    #[test]
    fn the_key_travels_on_standard_input_only() {
        let runner = Recorder::new();
        let key = Passphrase::from_key(b"a very secret key".to_vec());
        let ssd = Open { device: "/dev/md/ssd", name: "luks-ssd", discard: true, no_workqueue: true };
        open(&runner, &ssd, &key).unwrap();
        open(&runner, &Open { device: "/dev/md/hdd", name: "luks-hdd", discard: false, no_workqueue: false }, &key)
            .unwrap();
        test_key(&runner, "/dev/md/hdd", 1, &key).unwrap();
        assert_eq!(
            runner.lines(),
            [
                "cryptsetup open --type luks2 --key-file=- --allow-discards --perf-no_read_workqueue \
                 --perf-no_write_workqueue --persistent /dev/md/ssd luks-ssd",
                "cryptsetup open --type luks2 --key-file=- /dev/md/hdd luks-hdd",
                "cryptsetup open --type luks2 --key-file=- --key-slot 1 --test-passphrase /dev/md/hdd",
            ]
        );
        assert_eq!(runner.input_of("cryptsetup open").unwrap(), b"a very secret key");
    }

    #[test]
    fn backup_and_erase() {
        let runner = Recorder::new();
        header_backup(&runner, "/dev/md/ssd", "/target/etc/sovereign/luks-headers/luks-ssd.img").unwrap();
        erase(&runner, "/dev/sda1").unwrap();
        close(&runner, "luks-ssd").unwrap();
        let backup = "/target/etc/sovereign/luks-headers/luks-ssd.img";
        let named = Recorder::new().prints("cryptsetup luksUUID", "f7a64a9b-d017-41fc-bfe5-c76b5e9d95cc\n");
        assert_eq!(uuid(&named, backup).unwrap(), "f7a64a9b-d017-41fc-bfe5-c76b5e9d95cc");
        assert_eq!(named.lines(), [format!("cryptsetup luksUUID {backup}")]);
        assert_eq!(
            runner.lines(),
            [
                "cryptsetup luksHeaderBackup /dev/md/ssd --header-backup-file \
                 /target/etc/sovereign/luks-headers/luks-ssd.img",
                "cryptsetup erase --batch-mode /dev/sda1",
                "cryptsetup close luks-ssd",
            ]
        );
    }

    #[test]
    fn a_header_is_read() {
        // cryptsetup 2.7.5, shortened: digests, areas and salts left out.
        let text = r#"{ "keyslots": {
            "1": {"type":"luks2","key_size":64,"kdf":{"type":"pbkdf2","hash":"sha256","iterations":1000}},
            "0": {"type":"luks2","key_size":64,"kdf":{"type":"argon2id","time":4,"memory":1048576,"cpus":4}} },
          "segments": { "0": {"type":"crypt","offset":"16777216","size":"dynamic","iv_tweak":"0",
            "encryption":"aes-xts-plain64","sector_size":4096} },
          "config": {"json_size":"12288","keyslots_size":"16744448","flags":["allow-discards"]} }"#;
        let header = parse_dump(text).unwrap();
        assert_eq!((header.sector, header.offset), (4096, 16 << 20));
        assert_eq!(header.flags, ["allow-discards"]);
        assert_eq!(header.slots[0].kdf, "argon2id");
        let measured = Measured { iterations: 4, memory_kib: 1_048_576, parallel: 4 };
        assert_eq!(header.slots[0].argon2, Some(measured));
        assert_eq!(header.slots[1].argon2, None);
        assert_eq!(parse_dump("{}").unwrap_err(), "it has no /segments/0");
    }
}
