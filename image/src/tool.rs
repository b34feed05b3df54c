//! The programs of the build host: one enum, one way to run them, errors that carry command, exit status and output.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Dynamic loader of Debian's amd64, relative to a tree's root.
pub const LOADER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
/// Libraries of Debian's amd64, relative to a tree's root.
pub const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// A program the build needs, with the Debian package that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Fetches package lists and resolves dependencies.
    AptGet,
    /// Prints the records of packages.
    AptCache,
    /// Downloads files with APT's proxies and credentials.
    AptHelper,
    /// Reads the control record of a package file.
    DpkgDeb,
    /// Reads keyrings.
    Gpg,
    /// Unpacks package indices.
    Gzip,
    /// Makes the file system of the target.
    Mmdebstrap,
    /// Writes squashfs.
    Mksquashfs,
    /// Reads squashfs.
    Unsquashfs,
    /// Writes and reads ISO images.
    Xorriso,
    /// Makes the FAT file system of the EFI image.
    MkfsFat,
    /// Makes directories in a FAT image.
    Mmd,
    /// Copies files into a FAT image.
    Mcopy,
    /// Compresses the initrd.
    Zstd,
    /// Unpacks kernel modules.
    Xz,
    /// Asks registries, and fetches images from them.
    Skopeo,
    /// The dynamic loader of an unpacked tree.
    Loader,
}

impl Tool {
    fn program(self) -> &'static str {
        match self {
            Self::AptGet => "apt-get",
            Self::AptCache => "apt-cache",
            Self::AptHelper => "/usr/lib/apt/apt-helper",
            Self::DpkgDeb => "dpkg-deb",
            Self::Gpg => "gpg",
            Self::Gzip => "gzip",
            Self::Mmdebstrap => "mmdebstrap",
            Self::Mksquashfs => "mksquashfs",
            Self::Unsquashfs => "unsquashfs",
            Self::Xorriso => "xorriso",
            Self::MkfsFat => "/sbin/mkfs.fat",
            Self::Mmd => "mmd",
            Self::Mcopy => "mcopy",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Skopeo => "skopeo",
            Self::Loader => "ld.so",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::AptGet | Self::AptCache | Self::AptHelper => "apt",
            Self::DpkgDeb => "dpkg",
            Self::Gpg => "gpg",
            Self::Gzip => "gzip",
            Self::Mmdebstrap => "mmdebstrap",
            Self::Mksquashfs | Self::Unsquashfs => "squashfs-tools",
            Self::Xorriso => "xorriso",
            Self::MkfsFat => "dosfstools",
            Self::Mmd | Self::Mcopy => "mtools",
            Self::Zstd => "zstd",
            Self::Xz => "xz-utils",
            Self::Skopeo => "skopeo",
            Self::Loader => "libc6",
        }
    }
}

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not installed.
    #[error("{program} is not installed: run `apt-get install {package}`, or build by scripts/build-iso, which does")]
    Missing {
        /// What was looked for.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// It could not be started or waited for.
    #[error("cannot run `{command}`")]
    Start {
        /// The whole command line.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ran and failed.
    #[error("`{command}` ended with {status}\n{output}")]
    Failed {
        /// The whole command line.
        command: String,
        /// Exit status or signal.
        status: String,
        /// The last lines of its output.
        output: String,
    },
}

/// One call of a program.
pub struct Call {
    program: OsString,
    package: &'static str,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
}

impl Call {
    /// A call without arguments yet.
    pub fn new(tool: Tool) -> Self {
        // One locale and time zone: output is parsed and time stamps are compared. No settings of whoever builds: mtools reads
        // ~/.mtoolsrc, xorriso ~/.xorrisorc.
        let environment = vec![("LC_ALL", "C.UTF-8".into()), ("TZ", "UTC".into()), ("MTOOLSRC", "/dev/null".into())];
        let arguments = if tool == Tool::Xorriso { vec!["-no_rc".into()] } else { Vec::new() };
        Self { program: tool.program().into(), package: tool.package(), arguments, environment }
    }

    /// A call of any program, for tests.
    #[cfg(test)]
    pub fn program(name: &str) -> Self {
        Self { program: name.into(), ..Self::new(Tool::Loader) }
    }

    /// A call of the loader of an unpacked tree, to be followed by a program of that tree and its arguments, with the tree's own dynamic loader and libraries: what makes the medium is
    /// then of the same version as what is on it, whatever the build host has, and nothing needs root or chroot.
    pub fn inside(tree: &Path) -> Self {
        let mut call = Self::new(Tool::Loader);
        call.program = tree.join(LOADER).into();
        call.arg("--library-path").arg(tree.join(LIBRARIES))
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, value.as_ref().to_owned()));
        self
    }

    /// Makes the program believe it is root where it is not: in a user namespace of its own, where the host allows that.
    #[must_use]
    pub fn mapped_to_root(mut self) -> Self {
        if !rustix::process::geteuid().is_root() {
            let program = std::mem::replace(&mut self.program, "unshare".into());
            self.arguments.splice(0..0, ["--map-root-user".into(), program]);
            self.package = "util-linux";
        }
        self
    }

    /// The whole command line, for errors.
    pub fn line(&self) -> String {
        let mut line = self.program.to_string_lossy().into_owned();
        for argument in &self.arguments {
            line.push(' ');
            line.push_str(&argument.to_string_lossy());
        }
        // A list of several hundred packages helps nobody.
        if line.len() > 2000 {
            let cut = (0..=2000).rev().find(|i| line.is_char_boundary(*i)).unwrap_or(0);
            line.truncate(cut);
            line.push_str(" ...");
        }
        line
    }

    /// The call as a process to be started, its standard input empty. The caller's `SOURCE_DATE_EPOCH` is not passed on: a call
    /// that dates something names the date itself, and mksquashfs refuses to be told twice.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_remove("SOURCE_DATE_EPOCH");
        command.args(&self.arguments).envs(self.environment.iter().map(|(k, v)| (k, v))).stdin(Stdio::null());
        command
    }

    /// The error for a process that could not be started.
    pub fn cannot_start(&self, source: io::Error) -> ToolError {
        if source.kind() == io::ErrorKind::NotFound {
            return ToolError::Missing { program: self.program.to_string_lossy().into_owned(), package: self.package };
        }
        ToolError::Start { command: self.line(), source }
    }

    /// The error for a process that ran and failed; `output` is what it said.
    pub fn failed(&self, status: std::process::ExitStatus, output: &str) -> ToolError {
        const LAST_LINES: usize = 25;
        let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
        ToolError::Failed {
            command: self.line(),
            status: status.to_string(),
            output: lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"),
        }
    }

    /// Runs to the end; standard output and error are captured. Any exit status but 0 is an error.
    pub fn run(&self) -> Result<Output, ToolError> {
        let output = self.command().output().map_err(|source| self.cannot_start(source))?;
        if output.status.success() {
            return Ok(output);
        }
        let said = [output.stdout.as_slice(), b"\n", output.stderr.as_slice()].concat();
        Err(self.failed(output.status, &String::from_utf8_lossy(&said)))
    }

    /// Runs to the end and gives standard output as text.
    pub fn text(&self) -> Result<String, ToolError> {
        Ok(String::from_utf8_lossy(&self.run()?.stdout).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_command_status_and_output() {
        let error = Call::new(Tool::Unsquashfs).arg("-s").arg("/nonexistent.squashfs").run().unwrap_err().to_string();
        assert!(error.starts_with("`unsquashfs -s /nonexistent.squashfs` ended with exit status: 1"), "{error}");
        assert!(error.contains("/nonexistent.squashfs"), "{error}");
    }

    #[test]
    fn settings_and_the_date_of_the_caller_do_not_reach_a_program() {
        let value = |call: &Call, name: &str| {
            let command = call.command();
            command.get_envs().find(|(known, _)| *known == name).map(|(_, value)| value.map(OsStr::to_owned))
        };
        let call = Call::new(Tool::Mcopy);
        assert_eq!(value(&call, "SOURCE_DATE_EPOCH"), Some(None));
        assert_eq!(value(&call, "MTOOLSRC"), Some(Some("/dev/null".into())));
        assert_eq!(value(&call.env("SOURCE_DATE_EPOCH", "7"), "SOURCE_DATE_EPOCH"), Some(Some("7".into())));
        assert_eq!(Call::new(Tool::Xorriso).arg("-indev").line(), "xorriso -no_rc -indev");
    }

    #[test]
    fn the_line_of_a_long_call_is_cut() {
        let line = Call::new(Tool::AptGet).args(vec!["package"; 1000]).line();
        assert!(line.len() < 2100 && line.ends_with(" ..."));
    }
}
