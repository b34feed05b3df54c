//! A serial line between QEMU and the console: as slow and as bad as a test wants it, and one that can be cut.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Bits a second; a byte is ten of them.
    pub bits_per_second: u32,
    /// Of so many bytes one is lost or garbled; 0: none.
    pub fault_in: u32,
    /// Which bytes that are.
    pub seed: u64,
}

/// How long a side of the line waits for bytes before it looks whether the line is cut.
const PATIENCE: Duration = Duration::from_millis(50);
/// Bytes that are passed on at a time: a tenth of a second at 9600 bit/s.
const PIECE: usize = 96;

/// A line that is there.
#[derive(Debug, Clone)]
pub struct Cable {
    socket: PathBuf,
    cut: Arc<AtomicBool>,
    guest: Arc<Mutex<Option<UnixStream>>>,
}

impl Cable {
    /// Lays a line to QEMU's socket; returns the other end of it.
    pub fn lay(socket: &Path, line: Line) -> io::Result<(UnixStream, Self)> {
        let (ours, far) = UnixStream::pair()?;
        let cable = Self { socket: socket.to_owned(), cut: Arc::default(), guest: Arc::default() };
        *cable.guest() = Some(cable.connect()?);
        far.set_read_timeout(Some(PATIENCE))?;
        let (down, up) = (cable.clone(), cable.clone());
        let (to, from) = (far.try_clone()?, far);
        std::thread::spawn(move || down.down(to, Faults::new(line)));
        std::thread::spawn(move || up.up(from, Faults::new(Line { seed: line.seed ^ u64::MAX, ..line })));
        Ok((ours, cable))
    }

    /// Cuts the line: what either side sends is lost, and the guest's side is hung up.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        if let Some(guest) = self.guest().take() {
            // Already gone is as good.
            let _ = guest.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Mends it.
    pub fn mend(&self) -> io::Result<()> {
        let guest = self.connect()?;
        *self.guest() = Some(guest);
        self.cut.store(false, Ordering::Release);
        Ok(())
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let guest = UnixStream::connect(&self.socket)?;
        guest.set_read_timeout(Some(PATIENCE))?;
        Ok(guest)
    }

    fn guest(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.guest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From the guest, until the machine is off.
    fn down(&self, mut to: UnixStream, mut faults: Faults) {
        let mut piece = [0; PIECE];
        loop {
            let guest = self.guest().as_ref().and_then(|guest| guest.try_clone().ok());
            match guest.map(|mut guest| guest.read(&mut piece)) {
                Some(Ok(count @ 1..)) => {
                    if to.write_all(&faults.pass(&piece[..count])).is_err() {
                        return;
                    }
                }
                Some(Err(error)) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                _ if self.cut.load(Ordering::Acquire) => std::thread::sleep(PATIENCE),
                _ => {
                    // The console sees that the machine went off.
                    let _ = to.shutdown(std::net::Shutdown::Both);
                    return;
                }
            }
        }
    }

    /// To the guest, until the console is dropped.
    fn up(&self, mut from: UnixStream, mut faults: Faults) {
        let mut piece = [0; PIECE];
        loop {
            match from.read(&mut piece) {
                Ok(count @ 1..) => {
                    let passed = faults.pass(&piece[..count]);
                    if let Some(guest) = self.guest().as_mut() {
                        // Into a line that is cut, or a machine that is off.
                        let _ = guest.write_all(&passed);
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                _ => return,
            }
        }
    }
}

/// What happens to bytes on their way.
struct Faults {
    line: Line,
    state: u64,
}

impl Faults {
    fn new(line: Line) -> Self {
        // The generator stays at 0 if it starts there.
        Self { line, state: line.seed | 1 }
    }

    /// Takes as long as the line needs, and returns what arrives.
    fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let bits = u64::try_from(bytes.len()).unwrap_or(u64::MAX).saturating_mul(10);
        std::thread::sleep(Duration::from_micros(bits * 1_000_000 / u64::from(self.line.bits_per_second.max(1))));
        bytes.iter().filter_map(|byte| self.byte(*byte)).collect()
    }

    fn byte(&mut self, byte: u8) -> Option<u8> {
        if self.line.fault_in == 0 {
            return Some(byte);
        }
        let drawn = self.next();
        if !drawn.is_multiple_of(u64::from(self.line.fault_in)) {
            return Some(byte);
        }
        // Half of the faults lose a byte, half turn one of its seven lower bits around.
        (drawn >> 32 & 1 == 0).then(|| byte ^ 1 << (drawn >> 33 & 7).min(6))
    }

    /// Marsaglia's xorshift with the shifts 13, 7, 17 ("Xorshift RNGs", 2003).
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const FAST: Line = Line { bits_per_second: 1_000_000, fault_in: 0, seed: 7 };

    #[test]
    fn a_bad_line_loses_and_garbles_as_many_bytes_as_it_should_and_the_same_each_time() {
        let bad = Line { fault_in: 100, ..FAST };
        let sent = vec![b'x'; 20_000];
        let arrived = Faults::new(bad).pass(&sent);
        assert_eq!(arrived, Faults::new(bad).pass(&sent));
        let lost = sent.len() - arrived.len();
        let garbled = arrived.iter().filter(|byte| **byte != b'x').count();
        assert!((50..200).contains(&lost) && (50..200).contains(&garbled), "{lost} lost, {garbled} garbled");
        assert!(arrived.iter().all(|byte| *byte < 0x80), "serial lines of terminals carry seven bits");
        assert_eq!(Faults::new(FAST).pass(&sent), sent);
    }

    #[test]
    fn a_line_that_was_cut_is_the_same_line_once_it_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let (mut ours, cable) = Cable::lay(&socket, FAST).unwrap();
        let mut guest = listener.accept().unwrap().0;
        let mut byte = [0; 1];
        guest.write_all(b"1").unwrap();
        ours.read_exact(&mut byte).unwrap();
        cable.cut();
        assert_eq!(guest.read(&mut byte).unwrap(), 0, "the guest's side is hung up");
        ours.write_all(b"lost").unwrap();
        std::thread::sleep(4 * PATIENCE);
        cable.mend().unwrap();
        let mut guest = listener.accept().unwrap().0;
        ours.write_all(b"2").unwrap();
        guest.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"2");
        guest.write_all(b"3").unwrap();
        ours.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"3");
        drop(guest);
        assert_eq!(ours.read(&mut byte).unwrap(), 0, "a machine that went off ends the line");
    }
}
