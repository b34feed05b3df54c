//! Why there is no plan: every reason in a sentence, what to change, and a table of all disks.

use std::collections::HashMap;
use std::fmt;

use crate::bytes::Bytes;
use crate::capacity::Refusal;
use crate::memory_encryption::NotEncrypted;
use crate::plan::select::{Verdict, transport_name};
use crate::plan::tree::printable;
use crate::plan::{Charset, Pool, pool_name};
use crate::role::CatalogueError;

/// No unambiguous plan exists for this site on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlan {
    /// Every reason found.
    pub reasons: Vec<Reason>,
    /// All disks of the machine.
    pub disks: Vec<Verdict>,
}

/// A reason, and within its text what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// What no machine is like.
    #[error(
        "this inventory is of no machine there can be: {0}; make a new one on the machine with `sovereign-installer probe --json`"
    )]
    Impossible(String),
    /// The machine has no disks at all.
    #[error(
        "this machine shows no disks at all: check power and cabling, the controller's mode in the firmware setup \
         (AHCI or HBA, not RAID), and whether its driver is in this kernel"
    )]
    NoDisks,
    /// Fewer disks fit than asked for.
    #[error("the {} pool needs {} and {} storage.{}.match{}", pool_name(*pool), disks(*wanted), fit(*found), pool_name(*pool), absent_text(absent))]
    TooFew {
        /// Pool.
        pool: Pool,
        /// Asked for.
        wanted: u32,
        /// How many fit.
        found: usize,
        /// Serials and WWNs named in the site file that are not there.
        absent: Vec<String>,
    },
    /// More disks fit than asked for; choosing among them would be a guess.
    #[error(
        "the {} pool needs {} and {} storage.{}.match: choosing among them would be a guess; narrow the match, \
         best with serials = [...] from the table below",
        pool_name(*pool), disks(*wanted), fit(*found), pool_name(*pool)
    )]
    Ambiguous {
        /// Pool.
        pool: Pool,
        /// Asked for.
        wanted: u32,
        /// How many fit.
        found: usize,
    },
    /// A serial or WWN of the site file is that of several disks.
    #[error(
        "storage.{}.match names {id}, which several disks have: {disks}; nobody can say which one is meant: name it by serials or wwns that \
         one disk alone has, or narrow the match by min_size and max_size",
        pool_name(*pool)
    )]
    NamesSeveral {
        /// Pool.
        pool: Pool,
        /// The serial or WWN.
        id: String,
        /// The disks that have it, in words.
        disks: String,
    },
    /// A disk fits both pools.
    #[error(
        "disk {0} fits both storage.ssd.match and storage.hdd.match: narrow one of them, such as with rotational, transport \
         or a size range"
    )]
    Both(String),
    /// Namespaces of one NVMe drive in one pool.
    #[error(
        "the {} pool would have several namespaces of one NVMe drive: {disks}; they fail together: narrow the match to one namespace a \
         drive, such as with serials or wwns, or a size range",
        pool_name(*pool)
    )]
    OneDrive {
        /// Pool.
        pool: Pool,
        /// The namespaces, in words.
        disks: String,
    },
    /// An entry of `storage.health.allow` is that of several disks.
    #[error(
        "storage.health.allow names {id}, which several disks have: {disks}; nobody can say which one may be failing: name it by its WWN, or \
         detach the others"
    )]
    AllowsSeveral {
        /// The serial or WWN.
        id: String,
        /// The disks that have it, in words.
        disks: String,
    },
    /// Logical sectors differ within a pool.
    #[error(
        "the disks of the {} pool mix logical sectors of 512 and 4096 bytes ({disks}), which one array must not: use disks \
         of one kind, or reformat them with `nvme format` or `sg_format`",
        pool_name(*pool)
    )]
    MixedSectors {
        /// Pool.
        pool: Pool,
        /// Disks and their sectors.
        disks: String,
    },
    /// The volume of a RAID controller is asked for, and the disk that fits is none that is known.
    #[error(
        "disk {disk} fits the {} pool, which is to be a volume of a RAID controller, and no controller that is known is behind it: \
         if it is such a volume, name it with serials or wwns in storage.{}.match; if not, change storage.{}.raid",
        pool_name(*pool), pool_name(*pool), pool_name(*pool)
    )]
    NoController {
        /// Pool.
        pool: Pool,
        /// The disk.
        disk: String,
    },
    /// A chosen disk holds a part of something that spans a disk which is not chosen.
    #[error(
        "disk {chosen} holds a part of a {kind} ({}) that also spans disk {other}, which is not chosen: to give it up, erase \
         its trace with `wipefs -a` on every partition of {other}, or detach that disk",
        uuid.as_deref().unwrap_or("without a UUID, so any other one may belong to it")
    )]
    Spans {
        /// The chosen disk.
        chosen: String,
        /// The other one.
        other: String,
        /// blkid's type.
        kind: String,
        /// What both have in common, where the kind has one.
        uuid: Option<String>,
    },
    /// What is on chosen disks is not known; their names, with commas.
    #[error(
        "what is on {0} could not be read, so nobody can say what would be lost: run this as root, or look for the errors of \
         the disk with `dmesg` and replace it"
    )]
    Unread(String),
    /// A chosen disk holds a part of something, and another part may be on a disk that could not be read.
    #[error(
        "disk {chosen} holds a part of a {kind}, and disk {other}, which is not chosen and could not be read, may hold another: \
         run this as root, or detach disk {other}"
    )]
    MaySpan {
        /// The chosen disk.
        chosen: String,
        /// The other one.
        other: String,
        /// blkid's type.
        kind: String,
    },
    /// The site asks for disks that erase themselves, and this one cannot.
    #[error(
        "disk {disk} cannot be erased as erase.mode = \"secure\" asks: {why}; use another disk, or another erase.mode"
    )]
    CannotErase {
        /// The chosen disk.
        disk: String,
        /// Why not.
        why: String,
    },
    /// A chosen disk can only be erased together with one that is not chosen.
    #[error(
        "erasing disk {chosen} by its own command would erase disk {other} too, another namespace of the same drive, which is not \
         chosen: move what is on it elsewhere and delete that namespace, or use another erase.mode"
    )]
    ErasesMore {
        /// The chosen disk.
        chosen: String,
        /// The other one.
        other: String,
    },
    /// BIOS cannot boot from 4Kn disks.
    #[error(
        "disk {0} has logical sectors of 4096 bytes, and this machine was booted by BIOS, which cannot boot from such a disk: \
         switch the firmware to UEFI and boot the installer again"
    )]
    BiosFourK(String),
    /// Root, metadata, reserve and at least one extent for guests do not fit.
    #[error(
        "the {} pool is too small: {needed_text} need {} bytes, and {} bytes are there: {} bytes short; {}",
        pool_name(*pool), needed.exact(), there.exact(), short.exact(), smaller(lower)
    )]
    TooSmall {
        /// Pool.
        pool: Pool,
        /// What is needed, in words.
        needed_text: String,
        /// Bytes needed in the volume group.
        needed: Bytes,
        /// Bytes the volume group would have.
        there: Bytes,
        /// Bytes missing; more than the difference where not even the layers below fit.
        short: Bytes,
        /// Keys of the site file that can be lowered: `storage.ssd.root`.
        lower: Vec<&'static str>,
    },
    /// The thin pool would need more metadata than there can be.
    #[error(
        "the thin pool of the {} pool would need {} bytes of metadata, and {} is the most a pool can have: set volumes = \
         \"thick\" in [storage.{}], or a larger reserve", pool_name(*pool), needed.exact(),
        crate::layout::THIN_METADATA_MAX.exact(), pool_name(*pool)
    )]
    Metadata {
        /// Pool.
        pool: Pool,
        /// Bytes wanted.
        needed: Bytes,
    },
    /// The interface the site file names is not there.
    #[error(
        "the site file's network.{key} = \"{value}\" is not in this machine, which has {there}: correct network.{key}"
    )]
    NicAbsent {
        /// `mac` or `interface`.
        key: &'static str,
        /// Its value.
        value: String,
        /// What interfaces there are.
        there: String,
    },
    /// Several interfaces, and the site file names none.
    #[error("this machine has several network interfaces ({0}): name the one for management with network.mac")]
    NicAmbiguous(String),
    /// The site requires memory encryption.
    #[error(transparent)]
    NotEncrypted(NotEncrypted),
    /// The guests do not fit this machine.
    #[error(transparent)]
    Guests(Refusal),
    /// The roles that were compiled in do not fit together.
    #[error(
        "this installer's own roles are wrong, so it cannot plan guests; use another medium, or remove [guests]: {0}"
    )]
    Roles(CatalogueError),
}

fn disks(wanted: u32) -> String {
    format!("{wanted} disk{}", if wanted == 1 { "" } else { "s" })
}

fn fit(found: usize) -> String {
    match found {
        0 => "no disk fits".to_owned(),
        1 => "only 1 disk fits".to_owned(),
        n => format!("{n} disks fit"),
    }
}

fn smaller(lower: &[&str]) -> String {
    if lower.is_empty() {
        "use larger disks".to_owned()
    } else {
        format!("lower {}, or use larger disks", lower.join(" or "))
    }
}

fn absent_text(absent: &[String]) -> String {
    if absent.is_empty() {
        ": see below why each disk was not chosen, and widen the match or attach the missing disks".to_owned()
    } else {
        format!("; not attached: {}: attach them, or correct the match", absent.join(", "))
    }
}

/// Control characters become `?`: models, serials and labels come from devices, and could drive the terminal.
impl fmt::Display for NoPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text)?;
        f.write_str(&printable(&text, Charset::Unicode))
    }
}

impl NoPlan {
    fn write(&self, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(f, "no unambiguous plan for this machine; nothing was written")?;
        for reason in &self.reasons {
            writeln!(f, "  - {reason}")?;
        }
        if self.disks.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{:<10} {:>7}  {:<6}  {:<22}  model", "disk", "size", "by", "serial")?;
        let mut serials: HashMap<&Option<String>, usize> = HashMap::new();
        for verdict in &self.disks {
            *serials.entry(&verdict.disk.serial).or_default() += 1;
        }
        for verdict in &self.disks {
            let disk = &verdict.disk;
            writeln!(
                f,
                "{:<10} {:>7}  {:<6}  {:<22}  {}",
                disk.kernel_name,
                disk.size.to_string(),
                transport_name(disk.transport),
                disk.serial.as_deref().unwrap_or("-").replace('\n', "?"),
                if disk.model.is_empty() { "-".to_owned() } else { disk.model.replace('\n', "?") },
            )?;
            // Where the serial number does not tell it from others, its WWN may.
            if let Some(wwn) = disk.wwn.as_ref().filter(|_| serials.get(&disk.serial).is_some_and(|count| *count > 1)) {
                writeln!(f, "           WWN {}", wwn.replace('\n', "?"))?;
            }
            let texts: Vec<_> = verdict
                .pools
                .iter()
                .map(|(pool, rejection)| {
                    let text = rejection.as_ref().map_or_else(|| "fits".to_owned(), ToString::to_string);
                    (pool_name(*pool), text)
                })
                .collect();
            match texts.as_slice() {
                [(_, first), rest @ ..] if !rest.is_empty() && rest.iter().all(|(_, text)| text == first) => {
                    writeln!(f, "           {first}")?;
                }
                _ => {
                    for (pool, text) in &texts {
                        writeln!(f, "           {pool}: {text}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for NoPlan {}
