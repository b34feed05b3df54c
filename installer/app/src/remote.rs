//! The live system's SSH server (overlays/live/), as far as the installer has to do with it: who may come in, and what is said of it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use sovereign_system::runner::{Cmd, Runner};

/// What belongs to it, in memory.
pub const FOLDER: &str = "/run/sovereign/ssh";

/// Lets the holders of these keys in.
///
/// # Errors
/// The file system refuses.
pub fn admit(folder: &Path, keys: &[&str]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join("authorized_keys");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    keys.iter().try_for_each(|key| writeln!(file, "{key}"))
}

/// How this machine is reached over SSH, in lines, with the password of this start; empty where it is not known.
pub fn notice(runner: &dyn Runner) -> String {
    runner.run(&Cmd::new("/usr/lib/sovereign/remote-notice", [""; 0])).map(|output| output.stdout).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_keys_of_the_site_file_are_let_in_and_are_roots_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let ssh = folder.path().join("ssh");
        admit(&ssh, &["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"]).unwrap();
        admit(&ssh, &["ssh-ed25519 CCCC three"]).unwrap();
        let file = ssh.join("authorized_keys");
        assert_eq!(fs::read_to_string(&file).unwrap(), "ssh-ed25519 CCCC three\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&ssh).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
