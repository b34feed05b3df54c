//! What the product says on its consoles and to its callers: every wait of every test takes its words from here.

/// Label of the file system that carries the answer file.
pub const ANSWER_LABEL: &str = "SOVEREIGN";

/// Key of the boot menu entry "install".
pub const MENU_KEY_INSTALL: &str = "i";
/// Key of the boot menu entry "install on serial ttyS0".
pub const MENU_KEY_INSTALL_SERIAL: &str = "s";
/// Key of the boot menu entry "install, screens over SSH too".
pub const MENU_KEY_INSTALL_SSH: &str = "h";
/// Key of the boot menu entry "rescue shell on serial ttyS0".
pub const MENU_KEY_RESCUE_SERIAL: &str = "u";
/// Key of the boot menu entry "check this medium on serial ttyS0".
pub const MENU_KEY_CHECK_SERIAL: &str = "k";
/// Key of the boot menu entry "boot from disk".
pub const MENU_KEY_DISK: &str = "d";
/// What the boot menu shows on its first line, on screen and serial.
pub const MENU_TITLE: &str = "Install on serial console ttyS0";

/// The installer's last line after a completed install.
pub const INSTALL_COMPLETE: &str = "INSTALL COMPLETE";
/// The start of the installer's last line after a failed one.
pub const INSTALL_FAILED: &str = "INSTALL FAILED";

/// The prompt for the passphrase of the root container, on the last `console=`.
pub const UNLOCK_PROMPT: &str = "Please unlock disk luks-ssd";
/// getty's prompt.
pub const LOGIN_PROMPT: &str = "login: ";
/// login's prompt.
pub const PASSWORD_PROMPT: &str = "Password: ";

/// What ends any wait at once, whatever was waited for.
pub const KERNEL_PANIC: &str = "Kernel panic - not syncing";

/// Exit code of the installer: bad input (site file, arguments).
pub const EXIT_BAD_INPUT: i32 = 2;
/// Exit code of the installer: no unambiguous plan.
pub const EXIT_NO_PLAN: i32 = 3;
/// Exit code of the installer: a step failed.
pub const EXIT_STEP_FAILED: i32 = 4;
/// Exit code of the installer: the installation medium is damaged.
pub const EXIT_BAD_MEDIUM: i32 = 7;
/// Exit code of `memory-encryption`: it is not active.
pub const EXIT_NOT_ENCRYPTED: i32 = 5;
/// Exit code of `status`: the machine is degraded.
pub const EXIT_DEGRADED: i32 = 6;

/// Passphrase of both containers in every test: odd enough to be found wherever it is left behind, and free of characters that a
/// keyboard layout would move.
pub const PASSPHRASE: &str = "zq7xv0-Quokka-Harmonium-4417-wjk";
/// Password of root on installed machines; the site files carry its hash only.
pub const ROOT_PASSWORD: &str = "tarpaulin-Okapi-902";

/// Names of the installer's steps that tests stop after, in the order in which they run.
pub mod step {
    /// Nothing is left of what was on the disks.
    pub const WIPE: &str = "wipe";
    /// md arrays are running.
    pub const ARRAYS: &str = "create-arrays";
    /// LUKS2 containers are made and open.
    pub const CONTAINERS: &str = "format-containers";
    /// Volume groups, the root volume and the pools are there.
    pub const VOLUMES: &str = "create-volumes";
    /// File systems are made.
    pub const FILE_SYSTEMS: &str = "make-filesystems";
    /// The system is unpacked from the medium.
    pub const UNPACK: &str = "unpack";
}
