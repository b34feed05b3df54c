//! LUKS2 through libcryptsetup: formatting, key slots, status. The only module that uses the binding.

use std::fmt;
use std::path::Path;

use cryptsetup_rs::api::crypt_pbkdf_algo_type;
use cryptsetup_rs::device::{self, Luks2FormatPbkdf, RawDevice};
use sovereign_model::plan::Argon2idCost;
use sovereign_model::{Bytes, Passphrase};
use uuid::Uuid;

/// `CRYPT_PBKDF_NO_BENCHMARK` of libcryptsetup.h: the iterations are meant as they are.
const PBKDF_NO_BENCHMARK: u32 = 1 << 1;
/// Iterations for a key of 64 random bytes, which no guessing finds: the fewest LUKS2 allows.
const KEY_FILE_ITERATIONS: u32 = 1000;
/// The slot a key file gets: the first after the passphrase's.
pub const KEY_FILE_SLOT: u8 = 1;
/// The slot of the recovery key.
pub const RECOVERY_SLOT: u8 = 2;
/// XTS needs two keys of 256 bits.
const KEY_BITS: usize = 512;
/// Hash of the anti-forensic splitter and of the volume key's digest.
const HASH: &str = "sha256";

/// What a container is formatted with.
#[derive(Debug, Clone, Copy)]
pub struct Format<'a> {
    /// Device node of the array.
    pub device: &'a str,
    /// Label in the header.
    pub label: &'a str,
    /// UUID in the header.
    pub uuid: &'a Uuid,
    /// Encryption sector in bytes: 4096, whatever the disks say.
    pub sector: u32,
    /// Where data starts; a multiple of 512.
    pub offset: Bytes,
    /// Cost of a guess at the passphrase.
    pub cost: Argon2idCost,
    /// What an earlier container's slot came to: taken as it is, where measuring again would give the same.
    pub measured: Option<Measured>,
}

/// argon2id parameters that a measurement on this machine came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Passes over the memory.
    pub iterations: u32,
    /// Memory of one guess in KiB.
    pub memory_kib: u32,
    /// Threads.
    pub parallel: u32,
}

/// Why libcryptsetup refused.
#[derive(Debug, thiserror::Error)]
#[error("libcryptsetup cannot {what} {device}")]
pub struct LuksError {
    what: &'static str,
    device: String,
    #[source]
    source: Cause,
}

/// libcryptsetup's reason, in its own words.
#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

fn failed(what: &'static str, device: &str, cause: impl fmt::Display) -> LuksError {
    LuksError { what, device: device.to_owned(), source: Cause(cause.to_string()) }
}

/// Formats a container (aes-xts-plain64, 512-bit key) and gives it a key slot, argon2id, for the passphrase, and one of the same cost for the
/// recovery key, if there is one. `key` is that of a key file, random bytes: its slot is pbkdf2 with the fewest iterations. All are added while
/// the volume key is at hand, so that no slot has to be opened for it.
///
/// # Errors
/// [`LuksError`].
pub fn format(
    format: &Format<'_>,
    passphrase: &Passphrase,
    recovery: Option<&Passphrase>,
    key: Option<&Passphrase>,
) -> Result<(), LuksError> {
    let device = format.device;
    let sectors = usize::try_from(format.offset.get() / 512).map_err(|e| failed("format", device, e))?;
    let memory_kib = u32::try_from(format.cost.memory.get() / 1024).map_err(|e| failed("format", device, e))?;
    let pbkdf = match format.measured {
        Some(measured) => Luks2FormatPbkdf {
            type_: crypt_pbkdf_algo_type::argon2id,
            hash: HASH,
            time_ms: 0,
            iterations: measured.iterations,
            max_memory_kb: measured.memory_kib,
            parallel_threads: measured.parallel,
            flags: PBKDF_NO_BENCHMARK,
        },
        None => Luks2FormatPbkdf {
            type_: crypt_pbkdf_algo_type::argon2id,
            hash: HASH,
            time_ms: format.cost.time_ms,
            iterations: 0,
            max_memory_kb: memory_kib,
            parallel_threads: format.cost.parallel,
            flags: 0,
        },
    };
    let mut raw = Raw::init(device)?;
    device::luks2_format(
        &mut raw.0,
        "aes",
        "xts-plain64",
        KEY_BITS,
        sectors,
        format.sector,
        Some(format.label),
        None,
        None,
        Some(format.uuid),
        Some(&pbkdf),
        None,
    )
    .map_err(|e| failed("format", device, e))?;
    device::luks_add_keyslot(&mut raw.0, passphrase.expose(), None, Some(0))
        .map_err(|e| failed("add the passphrase's key slot to", device, e))?;
    if let Some(recovery) = recovery {
        device::luks_add_keyslot(&mut raw.0, recovery.expose(), None, Some(RECOVERY_SLOT))
            .map_err(|e| failed("add the recovery key's slot to", device, e))?;
    }
    let Some(key) = key else { return Ok(()) };
    let pbkdf = Luks2FormatPbkdf {
        type_: crypt_pbkdf_algo_type::pbkdf2,
        hash: HASH,
        time_ms: 0,
        iterations: KEY_FILE_ITERATIONS,
        max_memory_kb: 0,
        parallel_threads: 0,
        flags: PBKDF_NO_BENCHMARK,
    };
    device::luks2_set_pbkdf_type(&mut raw.0, &pbkdf)
        .map_err(|e| failed("choose the key file's derivation for", device, e))?;
    device::luks_add_keyslot(&mut raw.0, key.expose(), None, Some(KEY_FILE_SLOT))
        .map_err(|e| failed("add the key file's slot to", device, e))?;
    Ok(())
}

/// Whether a mapping of this name is open.
pub fn is_open(name: &str) -> bool {
    use cryptsetup_rs::api::crypt_status_info::{CRYPT_ACTIVE, CRYPT_BUSY};
    matches!(cryptsetup_rs::api::status(name), CRYPT_ACTIVE | CRYPT_BUSY)
}

/// libcryptsetup's context, freed when dropped.
struct Raw(RawDevice);

impl Raw {
    fn init(device: &str) -> Result<Self, LuksError> {
        device::init(Path::new(device)).map(Self).map_err(|e| failed("open", device, e))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        device::free(&mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::cryptsetup::parse_dump;

    /// The JSON area of a LUKS2 header follows the binary header of 4096 bytes and ends with a NUL.
    fn header_of(path: &Path) -> crate::tools::cryptsetup::Header {
        let bytes = std::fs::read(path).unwrap();
        let json = bytes[4096..16384].split(|b| *b == 0).next().unwrap();
        parse_dump(std::str::from_utf8(json).unwrap()).unwrap()
    }

    #[test]
    fn a_container_gets_an_argon2id_slot_and_a_cheap_one_for_the_key_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(24 << 20).unwrap();
        let device = file.path().to_str().unwrap();
        let uuid = Uuid::new_v4();
        let cost = Argon2idCost { memory: Bytes::mib(64), time_ms: 100, parallel: 1 };
        let passphrase = Passphrase::from_line(b"correct horse".to_vec()).unwrap();
        let wanted = Format {
            device,
            label: "luks-ssd",
            uuid: &uuid,
            sector: 4096,
            offset: Bytes::mib(16),
            cost,
            measured: None,
        };
        format(&wanted, &passphrase, None, Some(&Passphrase::from_key(vec![7; 64]))).unwrap();

        let header = header_of(file.path());
        assert_eq!((header.cipher.as_str(), header.sector, header.offset), ("aes-xts-plain64", 4096, 16 << 20));
        assert_eq!(header.slots.len(), 2);
        assert_eq!((header.slots[0].kdf.as_str(), header.slots[0].key_size), ("argon2id", 64));
        let measured = header.slots[0].argon2.unwrap();
        assert!(measured.memory_kib <= 64 * 1024);
        assert_eq!((header.slots[1].kdf.as_str(), header.slots[1].argon2), ("pbkdf2", None));

        format(&Format { measured: Some(measured), ..wanted }, &passphrase, None, None).unwrap();
        let header = header_of(file.path());
        assert_eq!((header.slots.len(), header.slots[0].argon2), (1, Some(measured)));

        let recovery = Passphrase::from_line(b"another horse".to_vec()).unwrap();
        let key = Passphrase::from_key(vec![7; 64]);
        format(&Format { measured: Some(measured), ..wanted }, &passphrase, Some(&recovery), Some(&key)).unwrap();
        let header = header_of(file.path());
        let kinds: Vec<_> = header.slots.iter().map(|slot| (slot.kdf.as_str(), slot.argon2)).collect();
        assert_eq!(kinds, [("argon2id", Some(measured)), ("pbkdf2", None), ("argon2id", Some(measured))]);
    }

    #[test]
    fn what_is_no_device_is_named() {
        let device = "/dev/md/none";
        let cost = Argon2idCost { memory: Bytes::mib(64), time_ms: 100, parallel: 1 };
        let uuid = Uuid::new_v4();
        let wanted =
            Format { device, label: "x", uuid: &uuid, sector: 4096, offset: Bytes::mib(16), cost, measured: None };
        let error = format(&wanted, &Passphrase::from_key(vec![7; 64]), None, None).unwrap_err();
        assert_eq!(error.to_string(), format!("libcryptsetup cannot open {device}"));
    }
}
