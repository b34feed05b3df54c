//! Makes a database as pmxcfs would have made it, entry after entry.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use super::tree::Tree;
use super::{TYPE_DIRECTORY, TYPE_FILE, VERSION_NAME, paths};

/// The one table. pmxcfs makes it where it is missing and never alters it, so it has to be this one.
pub(super) const SCHEMA: &str = "CREATE TABLE tree (  inode INTEGER PRIMARY KEY NOT NULL,  \
     parent INTEGER NOT NULL CHECK(typeof(parent)=='integer'),  \
     version INTEGER NOT NULL CHECK(typeof(version)=='integer'),  \
     writer INTEGER NOT NULL CHECK(typeof(writer)=='integer'),  \
     mtime INTEGER NOT NULL CHECK(typeof(mtime)=='integer'),  \
     type INTEGER NOT NULL CHECK(typeof(type)=='integer'),  \
     name TEXT NOT NULL,  data BLOB)";

/// Nobody but root reads private keys.
const MODE: u32 = 0o600;

/// The version counter of an empty database: pmxcfs counts from 1, as 0 means that there is no counter.
const FIRST_VERSION: i64 = 1;

/// The node itself, as opposed to another member of a cluster.
const LOCAL_WRITER: i64 = 0;

/// Why there is no new database. A file that was begun is removed again.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Something is there.
    #[error("{} exists already: a database is only made anew, so that no node loses its own; move it away first", .0.display())]
    Exists(PathBuf),
    /// The file system refuses.
    #[error("cannot make {}: see that its folder is there, may be written to and has room", path.display())]
    Io {
        /// The database.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// SQLite refuses.
    #[error("SQLite cannot write {}: see that its file system has room and works", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The changes are not in the file alone.
    #[error("SQLite left {} behind: the file system does not support its locks; write to a local one", .0.display())]
    Leftover(PathBuf),
}

/// Writes a new database, readable by its owner alone, in WAL mode as pmxcfs uses it but without files beside it. `mtime` is that of every
/// entry, seconds since 1970.
///
/// It is complete when this returns, as all other programs see it, but **not on the disk**: whoever calls this syncs the file system. It lies
/// among gigabytes that have just been unpacked, and each of SQLite's syncs would wait for them. Nothing is lost by that: a database that the
/// power takes away before the installation's last sync belongs to an installation that counts as incomplete and is made anew.
///
/// # Errors
/// [`WriteError`]; nothing is left then.
pub fn write(path: &Path, tree: &Tree, mtime: u32) -> Result<(), WriteError> {
    let io = |source| WriteError::Io { path: path.to_owned(), source };
    let created = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
    match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(WriteError::Exists(path.to_owned())),
        created => drop(created.map_err(io)?),
    }
    let written = fill(path, tree, mtime)
        .map_err(|source| WriteError::Sqlite { path: path.to_owned(), source })
        .and_then(|()| alone(path));
    if written.is_err() {
        for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
            // The error that is returned matters more than one from clearing up.
            let _ = std::fs::remove_file(file);
        }
    }
    written
}

/// The file that SQLite keeps beside a database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn fill(path: &Path, tree: &Tree, mtime: u32) -> rusqlite::Result<()> {
    let mut db =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // Before anything is written: the change to WAL syncs too.
    db.pragma_update(None, "synchronous", "OFF")?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::InvalidQuery);
    }
    let transaction = db.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    insert(&transaction, tree, mtime)?;
    transaction.commit()?;
    // Into the database itself; the first column says whether somebody was in the way.
    let busy: i64 = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy != 0 {
        return Err(rusqlite::Error::InvalidQuery);
    }
    db.close().map_err(|(_, error)| error)
}

/// Each entry takes the next version as its inode; the counter is that of the last one.
fn insert(db: &Connection, tree: &Tree, mtime: u32) -> rusqlite::Result<()> {
    let mut insert = db.prepare(
        "INSERT INTO tree (inode, parent, version, writer, mtime, type, name, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut inodes = std::collections::HashMap::from([("", 0_i64)]);
    let mut version = FIRST_VERSION;
    for (path, data) in tree.entries() {
        version += 1;
        let (parent, name) = paths::split(path);
        // A tree has no entry without its directory.
        let parent = inodes.get(parent).copied().unwrap_or_default();
        let kind = if data.is_some() { TYPE_FILE } else { TYPE_DIRECTORY };
        // pmxcfs stores an empty file as NULL too.
        let data = data.filter(|data| !data.is_empty());
        insert.execute(params![version, parent, version, LOCAL_WRITER, mtime, kind, name, data])?;
        inodes.insert(path, version);
    }
    insert.execute(params![0, 0, version, LOCAL_WRITER, mtime, TYPE_FILE, VERSION_NAME, None::<&[u8]>])?;
    Ok(())
}

/// Nothing is left beside the database: whoever copies it copies all of it.
fn alone(path: &Path) -> Result<(), WriteError> {
    let left = [beside(path, "-wal"), beside(path, "-shm")].into_iter().find(|file| file.exists());
    left.map_or(Ok(()), |file| Err(WriteError::Leftover(file)))
}
