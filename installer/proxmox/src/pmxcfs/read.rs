//! Reads the rows of a database as they are, whatever is wrong with them, and changes nothing: neither it nor its folder.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::write::beside;
use super::{TYPE_DIRECTORY, TYPE_FILE};

/// How every SQLite 3 database starts (SQLite's file format, 1.3.1).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Most messages of SQLite's own check that are kept.
const FINDINGS_MAX: usize = 20;

/// Deepest entry: `PATH_MAX` of 4096 bytes cannot name a deeper one.
const DEPTH_MAX: usize = 2048;

/// Why there are no rows to judge.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refuses.
    #[error("cannot read {}: give the path of a config.db, or of a copy that you may read", path.display())]
    Io {
        /// The database.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A folder, a device.
    #[error("{} is not a file: give the path of a config.db or of a copy of one", .0.display())]
    NoFile(PathBuf),
    /// Another format.
    #[error("{} is not an SQLite database: give the path of a config.db or of a copy of one", .0.display())]
    NoDatabase(PathBuf),
    /// SQLite cannot even say which tables there are.
    #[error("SQLite cannot open {}: it is damaged, or not all of it was copied (with config.db goes config.db-wal)", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
}

/// A value as SQLite holds it: the declared type of a column is a wish.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// A number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text, UTF-8 where all is well.
    Text(Vec<u8>),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// The number, if it is one.
    pub fn integer(&self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }

    /// The bytes of a text or blob; none of anything else.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(bytes) | Self::Blob(bytes) => bytes,
            Self::Null | Self::Integer(_) | Self::Real(_) => &[],
        }
    }

    /// What SQLite's `typeof` says.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Integer(_) => "integer",
            Self::Real(_) => "real",
            Self::Text(_) => "text",
            Self::Blob(_) => "blob",
        }
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(bytes) => Self::Text(bytes.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Number of the entry.
    pub inode: Value,
    /// Number of its directory; 0 is the root.
    pub parent: Value,
    /// The version counter when it was last changed.
    pub version: Value,
    /// Number of the cluster's member that changed it; 0 locally.
    pub writer: Value,
    /// When it was last changed, seconds since 1970.
    pub mtime: Value,
    /// 4 for a directory, 8 for a file.
    pub kind: Value,
    /// Its name in its directory.
    pub name: Value,
    /// The contents of a file.
    pub data: Value,
}

impl Row {
    /// The number of the entry, if it is one.
    pub fn inode(&self) -> Option<i64> {
        self.inode.integer()
    }

    /// The type as pmxcfs sees it: it looks at the lowest byte alone.
    pub(super) fn seen_type(&self) -> Option<i64> {
        self.kind.integer().map(|kind| kind & 0xff)
    }

    /// Whether pmxcfs takes it for a directory.
    pub fn is_directory(&self) -> bool {
        self.seen_type() == Some(TYPE_DIRECTORY)
    }

    /// Whether pmxcfs takes it for a file.
    pub fn is_file(&self) -> bool {
        self.seen_type() == Some(TYPE_FILE)
    }

    /// The name as pmxcfs sees it: up to the first NUL.
    pub(super) fn seen_name(&self) -> &[u8] {
        self.name.bytes().split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// The name for a person, control characters escaped.
    pub fn shown_name(&self) -> String {
        escaped(&String::from_utf8_lossy(self.name.bytes()))
    }
}

/// A text that moves no cursor.
pub(super) fn escaped(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Where an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placed {
    /// At this path, relative to the root, as pmxcfs sees the names.
    At(String),
    /// Not connected with the root.
    Lost,
}

/// What a database holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Database {
    /// Why pmxcfs cannot use the table.
    pub table: Vec<String>,
    /// What is declared otherwise than pmxcfs does, without harm to it.
    pub form: Vec<String>,
    /// What SQLite finds wrong with the file, and where reading it ended early.
    pub damage: Vec<String>,
    /// The rows in the order in which pmxcfs reads them.
    pub rows: Vec<Row>,
}

impl Database {
    /// The version counter.
    pub fn version(&self) -> Option<i64> {
        self.rows.iter().find(|row| row.inode() == Some(0)).and_then(|row| row.version.integer())
    }

    /// Every row with its place.
    pub(super) fn places(&self) -> Vec<(&Row, Placed)> {
        let mut by_inode: HashMap<i64, &Row> = HashMap::new();
        for row in &self.rows {
            if let Some(inode) = row.inode().filter(|inode| *inode != 0) {
                by_inode.entry(inode).or_insert(row);
            }
        }
        self.rows.iter().map(|row| (row, place(row, &by_inode))).collect()
    }
}

fn place(row: &Row, by_inode: &HashMap<i64, &Row>) -> Placed {
    let mut names = Vec::new();
    let mut at = row;
    while names.len() < DEPTH_MAX {
        names.push(String::from_utf8_lossy(at.seen_name()).into_owned());
        let Some(parent) = at.parent.integer() else {
            return Placed::Lost;
        };
        if parent == 0 {
            names.reverse();
            return Placed::At(names.join("/"));
        }
        match by_inode.get(&parent) {
            Some(next) if next.is_directory() => at = next,
            _ => return Placed::Lost,
        }
    }
    Placed::Lost
}

/// Reads a database.
///
/// # Errors
/// [`ReadError`], where it is no database at all; whatever else is wrong is in [`Database`].
pub fn read(path: &Path) -> Result<Database, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(ReadError::NoFile(path.to_owned()));
    }
    // SQLite keeps its log beside the file itself, not beside a link to it.
    let path = &fs::canonicalize(path).map_err(io)?;
    let mut head = [0; MAGIC.len()];
    match File::open(path).map_err(io)?.read_exact(&mut head) {
        Ok(()) if head == *MAGIC => {}
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(io(error)),
        _ => return Err(ReadError::NoDatabase(path.to_owned())),
    }
    let sqlite = |source| ReadError::Sqlite { path: path.to_owned(), source };
    let pending = fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    if !pending {
        return open(path, "immutable=1").and_then(|db| load(&db)).map_err(sqlite);
    }
    // Somebody has it open: SQLite's locks keep what is read consistent.
    if beside(path, "-shm").exists()
        && let Ok(database) = open(path, "mode=ro").and_then(|db| load(&db))
    {
        return Ok(database);
    }
    // The changes in the log belong to it, but taking them into account makes files in its folder.
    let folder = tempfile::tempdir().map_err(io)?;
    let copy = folder.path().join("config.db");
    fs::copy(path, &copy).map_err(io)?;
    fs::copy(beside(path, "-wal"), beside(&copy, "-wal")).map_err(io)?;
    open(&copy, "mode=rw").and_then(|db| load(&db)).map_err(sqlite)
}

fn open(path: &Path, how: &str) -> rusqlite::Result<Connection> {
    // `?`, `#` and `%` have a meaning in a URI.
    let escape = |byte: &u8| match byte {
        b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(*byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    let name: String = path.as_os_str().as_bytes().iter().map(escape).collect();
    let write = if how == "mode=rw" { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let flags = write | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(format!("file:{name}?{how}"), flags)?;
    // A database from elsewhere runs no functions of ours.
    db.pragma_update(None, "trusted_schema", false)?;
    Ok(db)
}

/// The columns: name, declared type, NOT NULL, part of the primary key.
const COLUMNS: [(&str, &str, bool, bool); 8] = [
    ("inode", "INTEGER", true, true),
    ("parent", "INTEGER", true, false),
    ("version", "INTEGER", true, false),
    ("writer", "INTEGER", true, false),
    ("mtime", "INTEGER", true, false),
    ("type", "INTEGER", true, false),
    ("name", "TEXT", true, false),
    ("data", "BLOB", false, false),
];

fn load(db: &Connection) -> rusqlite::Result<Database> {
    let mut database = Database::default();
    let mut kinds =
        db.prepare("SELECT type FROM sqlite_schema WHERE name = 'tree' COLLATE NOCASE AND type IN ('table', 'view')")?;
    let kinds: Vec<String> = kinds.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    match kinds.first().map(String::as_str) {
        Some("table") => {}
        Some(_) => {
            database.table.push("`tree` is a view, not a table".to_owned());
            return Ok(database);
        }
        None => {
            database.table.push("there is no table `tree`".to_owned());
            return Ok(database);
        }
    }
    (database.table, database.form) = columns(db)?;
    database.damage = findings(db);
    match rows(db, &mut database.rows) {
        Ok(()) => {}
        // A column is missing: the table says so.
        Err(_) if database.rows.is_empty() && !database.table.is_empty() => {}
        Err(error) => database.damage.push(format!("reading ended after {} rows: {error}", database.rows.len())),
    }
    Ok(database)
}

/// What is not as pmxcfs makes the table: what it cannot use, and what it does not mind. It names its columns whenever it reads or
/// writes, and replaces rows by their inode.
fn columns(db: &Connection) -> rusqlite::Result<(Vec<String>, Vec<String>)> {
    type Column = (String, String, bool, i64);
    let mut info = db.prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_info('tree')")?;
    let found: Vec<Column> = info
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    let (mut fatal, mut harmless) = (Vec::new(), Vec::new());
    for (name, kind, not_null, key) in COLUMNS {
        let Some(column) = found.iter().find(|column| column.0.eq_ignore_ascii_case(name)) else {
            fatal.push(format!("the column `{name}` is missing"));
            continue;
        };
        let (same_kind, same_key) = (column.1.eq_ignore_ascii_case(kind), (column.3 == 1) == key);
        let null = if not_null { " NOT NULL" } else { "" };
        if key && !(same_kind && same_key) {
            fatal.push(format!("the column `{name}` is not `{kind} PRIMARY KEY`"));
        } else if !same_key {
            fatal.push(format!("the column `{name}` is part of the primary key"));
        } else if !same_kind || column.2 != not_null {
            harmless.push(format!("the column `{name}` is not `{kind}{null}`"));
        }
    }
    for column in found.iter().filter(|column| !COLUMNS.iter().any(|known| column.0.eq_ignore_ascii_case(known.0))) {
        let list = if column.2 { &mut fatal } else { &mut harmless };
        list.push(format!("the column `{}` is one too many", escaped(&column.0)));
    }
    Ok((fatal, harmless))
}

/// What SQLite says of the file and of NOT NULL; of a file that it may not write it passes over each CHECK.
fn findings(db: &Connection) -> Vec<String> {
    let check = || -> rusqlite::Result<Vec<String>> {
        let mut check = db.prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?;
        check.query_map([], |row| row.get(0))?.collect()
    };
    match check() {
        Ok(lines) => lines.into_iter().filter(|line| line != "ok").map(|line| escaped(&line)).collect(),
        Err(error) => vec![format!("SQLite cannot check it: {error}")],
    }
}

/// The order is that of the table, as in pmxcfs.
fn rows(db: &Connection, rows: &mut Vec<Row>) -> rusqlite::Result<()> {
    let mut select = db.prepare("SELECT inode, parent, version, writer, mtime, type, name, data FROM tree")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let value = |column| row.get_ref(column).map(Value::from);
        rows.push(Row {
            inode: value(0)?,
            parent: value(1)?,
            version: value(2)?,
            writer: value(3)?,
            mtime: value(4)?,
            kind: value(5)?,
            name: value(6)?,
            data: value(7)?,
        });
    }
    Ok(())
}
