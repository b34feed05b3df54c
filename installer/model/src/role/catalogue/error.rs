//! Why roles and their workloads are no catalogue.

use super::{WORKLOAD_FILE, WORKLOADS_FOLDER};
use crate::role::{Name, RoleError, Source, Vmid};

/// Why roles are no catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// A file is no role.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// The folder is called otherwise than the role.
    #[error("{file}: the role is called `{name}`: give folder and role the same name")]
    Folder {
        /// The role's file.
        file: String,
        /// The role's name.
        name: Name,
    },
    /// A file that is nobody's.
    #[error(
        "{file}: there is no place for this file: roles are ROLE/role.toml, workloads ROLE/workloads/NAME/workload.toml, natives \
         ROLE/natives/NAME/native.toml, templates in files/ beside the latter two"
    )]
    Stray {
        /// The file.
        file: String,
    },
    /// The folder of a workload or native is called what none can be called.
    #[error(
        "{file}: `{name}` cannot be the name of this folder: write 1 to 63 of a-z, 0-9 and inner hyphens, a letter first"
    )]
    FolderName {
        /// The file in it.
        file: String,
        /// The folder's name.
        name: String,
    },
    /// A role names a workload without a folder.
    #[error(
        "{file}: there is no workload `{name}`: correct the name in `workloads`, or add {WORKLOADS_FOLDER}/{name}/{WORKLOAD_FILE}"
    )]
    NoWorkload {
        /// The role's file.
        file: String,
        /// Whom it names.
        name: Name,
    },
    /// A role names a workload twice.
    #[error("{file}: the workload `{name}` is named twice in `workloads`: remove one")]
    WorkloadTwice {
        /// The role's file.
        file: String,
        /// Whom it names.
        name: Name,
    },
    /// A workload's folder that no role names.
    #[error(
        "{file}: the role `{role}` does not name the workload `{name}`: add it to `workloads` in the role's file, or remove the folder"
    )]
    Unnamed {
        /// The workload's file.
        file: String,
        /// The role's folder.
        role: String,
        /// The workload's folder.
        name: String,
    },
    /// Two workloads of one name: the site file knows them by it.
    #[error("roles `{first}` and `{second}` both have a workload `{name}`: rename one")]
    SameWorkload {
        /// A role.
        first: Name,
        /// Another.
        second: Name,
        /// The workload's name.
        name: Name,
    },
    /// Two workloads with one host name.
    #[error("workloads `{first}` and `{second}` both have the host `{host}`: give one another label")]
    SameHost {
        /// A workload.
        first: Name,
        /// Another.
        second: Name,
        /// The label.
        host: Name,
    },
    /// A workload answers where its role's firewall lets nobody in.
    #[error(
        "workload `{workload}` answers HTTP at port {port}, which role `{role}` does not open: add a port with proto = \"tcp\""
    )]
    Shut {
        /// The workload.
        workload: Name,
        /// Its port.
        port: u16,
        /// Its role.
        role: Name,
    },
    /// A workload needs a native that is not there.
    #[error(
        "workload `{workload}` needs `{native}` of role `{role}`: there is no such native; correct the name, or add it"
    )]
    NoNative {
        /// The workload.
        workload: Name,
        /// What it needs.
        native: Name,
        /// Whose.
        role: Name,
    },
    /// A word of the ports' `from`.
    #[error("{file}: a role cannot be called `{name}`, which is a word of its own in role files: choose another name")]
    Reserved {
        /// The role's file.
        file: String,
        /// The role's name.
        name: Name,
    },
    /// Two templates or machines with one number.
    #[error("number {vmid} is that of {first} and of {second}: numbers of guests are unique, so change one")]
    Vmid {
        /// The number.
        vmid: Vmid,
        /// Who has it.
        first: String,
        /// Who has it too.
        second: String,
    },
    /// Two machines with one place in the order of starting.
    #[error("roles `{first}` and `{second}` both have startup.order {order}: say which one starts first")]
    Startup {
        /// The place.
        order: u32,
        /// A role.
        first: Name,
        /// Another role.
        second: Name,
    },
    /// A role names another that is not there.
    #[error(
        "role `{role}`, port {port}: there is no role `{other}`: correct the name, or add overlays/guest/{other}/role.toml"
    )]
    Unknown {
        /// The role.
        role: Name,
        /// Its port.
        port: String,
        /// Whom it names.
        other: Name,
    },
    /// A role names itself.
    #[error("role `{role}`, port {port}: a role needs no opening to itself: remove it")]
    Itself {
        /// The role.
        role: Name,
        /// Its port.
        port: String,
    },
    /// A sender that cannot reach the role.
    #[error(
        "role `{role}`, port {port}: there is no way from `{from}`, as one of the two has no interface on the {network} network"
    )]
    Unreachable {
        /// The role.
        role: Name,
        /// Its port.
        port: String,
        /// Who should send.
        from: Source,
        /// `public` or `internal`.
        network: &'static str,
    },
    /// A role that is passed on to does not accept it.
    #[error(
        "role `{role}` passes port {port} on to `{to}`, which does not accept it: add the port to role `{to}`, from = \"{role}\""
    )]
    Forward {
        /// The role.
        role: Name,
        /// Its port.
        port: String,
        /// Where to.
        to: Name,
    },
    /// Roles pass ports on in a circle.
    #[error("roles pass port {port} on in a circle: {circle}: end it at one of them")]
    Circle {
        /// The port where the circle was noticed.
        port: String,
        /// The roles, with arrows.
        circle: String,
    },
    /// One port is opened twice to the same senders.
    #[error("role `{role}`: port {first} and port {second} are open to `{from}` twice: join them to one")]
    Twice {
        /// The role.
        role: Name,
        /// A port.
        first: String,
        /// Another.
        second: String,
        /// To whom.
        from: Source,
    },
}
