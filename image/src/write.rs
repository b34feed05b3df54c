//! `sovereign-image write`: puts an image on a USB stick, reads it back and compares.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags, fadvise};

use crate::device::{Device, Refusal};
use crate::progress::Progress;
use crate::verify::{self, Verified, VerifyError};

/// How much is written or compared at a time; a multiple of any erase block sticks have.
const CHUNK_BYTES: usize = 4 << 20;
/// Why nothing was written, or why what was written cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file or device cannot be read or written.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The image is not whole, or none of ours.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The device must not be written to.
    #[error("{device}{identity} was not written to: {reason}")]
    Refused {
        /// The device.
        device: PathBuf,
        /// Model, serial and size, as far as they are known.
        identity: String,
        /// Why, and what to do.
        reason: Refusal,
    },
    /// The stick gives back something else.
    #[error(
        "{device} gave back something else than was written, first at byte {offset}: the stick is broken, use another"
    )]
    Differs {
        /// The device.
        device: PathBuf,
        /// The first byte that differs.
        offset: u64,
    },
}

/// Writes `image` to `device`. `serial` must be given for a device that is not removable, and must match wherever it is
/// given.
pub fn write(image: &Path, device: &Path, serial: Option<&str>, progress: &Progress) -> Result<(), WriteError> {
    transfer(image, device, |found| open(device, serial, found, progress), progress)
}

/// Opens a device that may be written to, and says which one it is.
fn open(device: &Path, serial: Option<&str>, image: &Verified, progress: &Progress) -> Result<File, WriteError> {
    let known = Device::probe(device).map_err(|error| {
        let (device, identity, reason) = (device.to_owned(), String::new(), Refusal::Absent);
        let absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        if absent { WriteError::Refused { device, identity, reason } } else { at("examine", &device)(error) }
    })?;
    let refused = |reason| WriteError::Refused { device: device.into(), identity: known.identity(), reason };
    known.judge(image.bytes, serial).map_err(refused)?;
    // Exclusive: the kernel itself refuses a block device that something uses.
    let flags = i32::try_from(OFlags::EXCL.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(device).map_err(|error| {
        let busy = error.kind() == io::ErrorKind::ResourceBusy;
        if busy { refused(Refusal::Busy) } else { at("open", device)(error) }
    })?;
    progress.say(&format!(
        "writing {} {} to {}{}",
        image.manifest.edition,
        image.manifest.version,
        device.display(),
        known.identity()
    ));
    Ok(file)
}

fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError + use<> {
    let path = path.to_owned();
    move |source| WriteError::Io { doing, path, source }
}

/// What is written to.
trait Target: Read + Write + Seek {
    /// Afterwards everything is on the medium, and what is read comes from there, not from memory.
    fn settle(&mut self) -> io::Result<()>;
}

impl Target for File {
    fn settle(&mut self) -> io::Result<()> {
        self.sync_all()?;
        Ok(fadvise(self, 0, None, Advice::DontNeed)?)
    }
}

/// Checks the image, opens the target, writes, reads back and compares. `name` is the target's, for errors.
fn transfer<T: Target>(
    image: &Path,
    name: &Path,
    open: impl FnOnce(&Verified) -> Result<T, WriteError>,
    progress: &Progress,
) -> Result<(), WriteError> {
    let found = verify::verify(image, progress)?;
    let mut target = open(&found)?;
    let mut source = File::open(image).map_err(at("read", image))?;
    {
        let task = progress.bytes("writing", found.bytes);
        copy(&mut source, found.bytes, &mut target, &|n| task.add(n)).map_err(at("write", name))?;
        target.settle().map_err(at("write", name))?;
    }
    let task = progress.bytes("reading back and comparing", found.bytes);
    match difference(&mut source, found.bytes, &mut target, &|n| task.add(n)).map_err(at("re-read", name))? {
        None => Ok(()),
        Some(offset) => Err(WriteError::Differs { device: name.into(), offset }),
    }
}

/// Copies the first `bytes` of `source` to the beginning of `target`.
fn copy(
    source: &mut (impl Read + Seek),
    bytes: u64,
    target: &mut (impl Write + Seek),
    report: &dyn Fn(u64),
) -> io::Result<()> {
    source.seek(SeekFrom::Start(0))?;
    target.seek(SeekFrom::Start(0))?;
    let mut source = source.take(bytes);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let n = fill(&mut source, &mut buffer)?;
        if n == 0 {
            return target.flush();
        }
        target.write_all(&buffer[..n])?;
        report(n as u64);
    }
}

/// The first byte where `target` is not `source`, over the first `bytes` of `source`.
fn difference(
    source: &mut (impl Read + Seek),
    bytes: u64,
    target: &mut (impl Read + Seek),
    report: &dyn Fn(u64),
) -> io::Result<Option<u64>> {
    source.seek(SeekFrom::Start(0))?;
    target.seek(SeekFrom::Start(0))?;
    let mut source = source.take(bytes);
    let (mut wanted, mut found) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut offset = 0;
    loop {
        let n = fill(&mut source, &mut wanted)?;
        if n == 0 {
            return Ok(None);
        }
        let m = fill(target, &mut found[..n])?;
        if let Some(at) = (0..n).find(|i| *i >= m || wanted[*i] != found[*i]) {
            return Ok(Some(offset + at as u64));
        }
        offset += n as u64;
        report(n as u64);
    }
}

/// Reads until the buffer is full or the end is reached.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use std::fs;
    use std::io::Cursor;

    #[test]
    fn what_is_written_is_compared_to_the_byte() {
        let image: Vec<u8> = (0..9_000_000_u32).map(|i| (i % 251) as u8).collect();
        let mut device = Cursor::new(vec![0xff; 10_000_000]);
        copy(&mut Cursor::new(&image), 9_000_000, &mut device, &|_| ()).unwrap();
        assert_eq!(difference(&mut Cursor::new(&image), 9_000_000, &mut device, &|_| ()).unwrap(), None);
        device.get_mut()[8_999_999] ^= 1;
        assert_eq!(difference(&mut Cursor::new(&image), 9_000_000, &mut device, &|_| ()).unwrap(), Some(8_999_999));
        let mut short = Cursor::new(image[..4_500_000].to_vec());
        assert_eq!(difference(&mut Cursor::new(&image), 9_000_000, &mut short, &|_| ()).unwrap(), Some(4_500_000));
    }

    /// A stick that gives back something else at one byte.
    struct Liar(File, u64);

    impl Read for Liar {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Liar {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.0.write(buffer)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    impl Seek for Liar {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    impl Target for Liar {
        fn settle(&mut self) -> io::Result<()> {
            use std::os::unix::fs::FileExt;
            let mut byte = [0];
            self.0.read_exact_at(&mut byte, self.1)?;
            self.0.write_all_at(&[!byte[0]], self.1)?;
            self.0.settle()
        }
    }

    /// A file that stands for a stick longer than the image, full of something else.
    fn stand_in(path: &Path, image: &Path) -> File {
        let length = fs::metadata(image).unwrap().len();
        fs::write(path, vec![0xff; usize::try_from(length).unwrap() + 5000]).unwrap();
        OpenOptions::new().read(true).write(true).open(path).unwrap()
    }

    #[test]
    fn an_image_is_checked_written_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let (image, stick) = (fixture::image(dir.path()), dir.path().join("stick"));
        let progress = Progress::default();
        transfer(&image, &stick, |_| Ok(stand_in(&stick, &image)), &progress).unwrap();
        let (wanted, found) = (fs::read(&image).unwrap(), fs::read(&stick).unwrap());
        assert!(found[..wanted.len()] == wanted, "another content");
        assert_eq!(found[wanted.len()..], [0xff; 5000]);

        let error = transfer(&image, &stick, |_| Ok(Liar(stand_in(&stick, &image), 6_000_001)), &progress).unwrap_err();
        assert!(matches!(error, WriteError::Differs { offset: 6_000_001, .. }), "{error}");
    }

    #[test]
    fn nothing_is_opened_for_a_damaged_image() {
        let dir = tempfile::tempdir().unwrap();
        let image = fixture::image(dir.path());
        fixture::flip(&image, 7_000_000);
        let open = |_: &Verified| -> Result<File, WriteError> { panic!("the stick was opened") };
        let error = transfer(&image, Path::new("stick"), open, &Progress::default()).unwrap_err();
        assert_eq!(crate::error::Error::from(error).exit_code(), sovereign_model::exit::ExitCode::BadMedium);
    }

    #[test]
    fn a_file_is_refused_by_the_command_whatever_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let (image, file) = (fixture::image(dir.path()), dir.path().join("f"));
        fs::write(&file, "as it was").unwrap();
        let error = write(&image, &file, None, &Progress::default()).unwrap_err();
        assert!(matches!(error, WriteError::Refused { reason: Refusal::NotBlockDevice, .. }), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"as it was");
        let error = write(&image, &dir.path().join("sdx"), None, &Progress::default()).unwrap_err();
        assert!(matches!(error, WriteError::Refused { reason: Refusal::Absent, .. }), "{error}");
        assert_eq!(crate::error::Error::from(error).exit_code(), sovereign_model::exit::ExitCode::BadInput);
    }
}
