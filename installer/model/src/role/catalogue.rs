//! All roles together: those that are compiled in, and what must hold between them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::words::Name;
use super::{Network, Port, Protocol, Role, Source};
use crate::workload::{Native, Workload};

mod error;

pub use error::CatalogueError;

/// `SHIPPED`: path and text of each `overlays/guest/*/role.toml` and of what is in `workloads/` and `natives/` beside it, in the order of
/// their paths; written by the build script.
mod shipped {
    include!(concat!(env!("OUT_DIR"), "/roles.rs"));
}

/// Of a role's folder: what it is.
pub const ROLE_FILE: &str = "role.toml";
/// Of a role's folder: its workloads, a folder each.
pub const WORKLOADS_FOLDER: &str = "workloads";
/// Of a workload's folder: what it is.
pub const WORKLOAD_FILE: &str = "workload.toml";
/// Of a role's folder: programs of its packages that workloads need, a folder each.
pub const NATIVES_FOLDER: &str = "natives";
/// Of a native's folder: what it is.
pub const NATIVE_FILE: &str = "native.toml";
/// Of the folder of a workload or native: templates of files as they lie on the guest.
pub const TEMPLATES_FOLDER: &str = "files";

/// Roles that fit together, in the order of their machines' numbers, and their workloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    roles: Vec<Role>,
    /// In the order of their roles, and there as the role names them.
    workloads: Vec<Workload>,
    /// In the order of their paths.
    natives: Vec<Native>,
}

impl Catalogue {
    /// The roles, workloads and natives of `files`, each a path and a text. Paths end in `ROLE/role.toml`,
    /// `ROLE/workloads/NAME/workload.toml`, `ROLE/natives/NAME/native.toml`, or are below `files/` beside one of the latter two.
    ///
    /// # Errors
    /// The first thing that is wrong within a file or between two.
    pub fn new(files: &[(&str, &str)]) -> Result<Self, CatalogueError> {
        let mut roles = Vec::new();
        let mut folders = Vec::new();
        let mut rest = Vec::new();
        for (file, text) in files {
            let path: Vec<&str> = file.rsplit('/').take(4).collect();
            match path[..] {
                [ROLE_FILE, folder, ..] => roles.push((*file, read_role(file, text, folder)?)),
                [WORKLOAD_FILE, name, WORKLOADS_FOLDER, role] => {
                    folders.push(Folder { file, text, role, name, is_workload: true, templates: Vec::new() });
                }
                [NATIVE_FILE, name, NATIVES_FOLDER, role] => {
                    folders.push(Folder { file, text, role, name, is_workload: false, templates: Vec::new() });
                }
                _ => rest.push((*file, *text)),
            }
        }
        for (file, text) in rest {
            let below = |folder: &Folder<'_>| {
                let (folder, _) = folder.file.rsplit_once('/')?;
                file.strip_prefix(folder)?.strip_prefix('/')?.strip_prefix(TEMPLATES_FOLDER)?.strip_prefix('/')
            };
            let own = folders.iter_mut().find_map(|folder| below(folder).map(|path| (folder, path)));
            let Some((folder, path)) = own else { return Err(CatalogueError::Stray { file: file.to_owned() }) };
            folder.templates.push((file, path, text));
        }
        roles.sort_by_key(|(_, role)| role.machine);
        let (mut named, natives): (Vec<_>, Vec<_>) = folders.into_iter().partition(|folder| folder.is_workload);
        let mut workloads = Vec::new();
        for (file, role) in &roles {
            for (index, name) in role.workloads.iter().enumerate() {
                let (file, name) = ((*file).to_owned(), name.clone());
                if role.workloads[..index].contains(&name) {
                    return Err(CatalogueError::WorkloadTwice { file, name });
                }
                let own = |folder: &Folder<'_>| folder.role == role.name.as_str() && folder.name == name.as_str();
                let Some(at) = named.iter().position(own) else {
                    return Err(CatalogueError::NoWorkload { file, name });
                };
                let Folder { file, text, templates, .. } = named.remove(at);
                workloads.push(Workload::parse(text, file, role.name.clone(), name, &templates)?);
            }
        }
        if let Some(folder) = named.first() {
            folder.names()?;
            let (file, role, name) = (folder.file.to_owned(), folder.role.to_owned(), folder.name.to_owned());
            return Err(CatalogueError::Unnamed { file, role, name });
        }
        let native = |folder: &Folder<'_>| -> Result<Native, CatalogueError> {
            let (role, name) = folder.names()?;
            Ok(Native::parse(folder.text, folder.file, role, name, &folder.templates)?)
        };
        let natives = natives.iter().map(native).collect::<Result<_, _>>()?;
        let catalogue = Self { roles: roles.into_iter().map(|(_, role)| role).collect(), workloads, natives };
        catalogue.check()?;
        catalogue.check_workloads()?;
        Ok(catalogue)
    }

    /// The roles that were compiled in.
    ///
    /// # Errors
    /// As [`Catalogue::new`]; tests read the same files.
    pub fn shipped() -> Result<&'static Self, &'static CatalogueError> {
        static SHIPPED: LazyLock<Result<Catalogue, CatalogueError>> =
            LazyLock::new(|| Catalogue::new(shipped::SHIPPED));
        SHIPPED.as_ref()
    }

    /// The roles, in the order of their machines' numbers.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The role of this name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name.as_str() == name)
    }

    /// Every workload, in the order of the roles, and there as the role names them.
    pub fn workloads(&self) -> &[Workload] {
        &self.workloads
    }

    /// The workloads of a role, in the order in which it names them.
    pub fn workloads_of(&self, role: &str) -> impl Iterator<Item = &Workload> {
        self.workloads.iter().filter(move |workload| workload.role.as_str() == role)
    }

    /// The workload of this role and name.
    pub fn workload(&self, role: &str, name: &str) -> Option<&Workload> {
        self.workloads_of(role).find(|workload| workload.name.as_str() == name)
    }

    /// The natives of a role, in the order of their names.
    pub fn natives_of(&self, role: &str) -> impl Iterator<Item = &Native> {
        self.natives.iter().filter(move |native| native.role.as_str() == role)
    }

    /// What must hold between workloads, natives and roles.
    fn check_workloads(&self) -> Result<(), CatalogueError> {
        let mut names: BTreeMap<&Name, &Workload> = BTreeMap::new();
        let mut hosts: BTreeMap<&Name, &Workload> = BTreeMap::new();
        for workload in &self.workloads {
            if let Some(first) = names.insert(&workload.name, workload) {
                let [first, second, name] = [&first.role, &workload.role, &workload.name].map(Clone::clone);
                return Err(CatalogueError::SameWorkload { first, second, name });
            }
            for need in &workload.needs {
                if !self.natives_of(need.role.as_str()).any(|native| native.name == need.native) {
                    let [workload, native, role] = [&workload.name, &need.native, &need.role].map(Clone::clone);
                    return Err(CatalogueError::NoNative { workload, native, role });
                }
            }
            let Some(http) = &workload.http else { continue };
            if let Some(first) = hosts.insert(&http.host, workload) {
                let [first, second, host] = [&first.name, &workload.name, &http.host].map(Clone::clone);
                return Err(CatalogueError::SameHost { first, second, host });
            }
            let ports = self.role(workload.role.as_str()).map_or(&[][..], |role| &role.ports);
            let has = |port: &Port| {
                port.proto == Protocol::Tcp && (port.port.first()..=port.port.last()).contains(&http.port)
            };
            if !ports.iter().any(has) {
                let (workload, role) = (workload.name.clone(), workload.role.clone());
                return Err(CatalogueError::Shut { workload, port: http.port, role });
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), CatalogueError> {
        let mut numbers = BTreeMap::new();
        for role in &self.roles {
            let name = &role.name;
            for (vmid, who) in [(role.template, "template"), (role.machine, "machine")] {
                let second = format!("{who} `{name}`");
                if let Some(first) = numbers.insert(vmid, second.clone()) {
                    return Err(CatalogueError::Vmid { vmid, first, second });
                }
            }
        }
        let mut places = BTreeMap::new();
        for role in &self.roles {
            let order = role.startup.order;
            if let Some(first) = places.insert(order, role.name.clone()) {
                return Err(CatalogueError::Startup { order, first, second: role.name.clone() });
            }
        }
        for role in &self.roles {
            for (index, port) in role.ports.iter().enumerate() {
                self.check_port(role, port)?;
                let twice = role.ports[..index].iter().find(|other| {
                    other.proto == port.proto && other.from == port.from && other.port.overlaps(port.port)
                });
                if let Some(other) = twice {
                    let (first, second) = (text(other), text(port));
                    let role = role.name.clone();
                    return Err(CatalogueError::Twice { role, first, second, from: port.from.clone() });
                }
            }
        }
        Ok(())
    }

    fn check_port(&self, role: &Role, port: &Port) -> Result<(), CatalogueError> {
        let network = match &port.from {
            Source::Public => Network::Public,
            Source::Internal | Source::Host | Source::Role(_) => Network::Internal,
        };
        let from_there = match &port.from {
            Source::Role(other) => self.other(role, port, other)?.is_on(network),
            _ => true,
        };
        if !from_there || !role.is_on(network) {
            let network = if network == Network::Public { "public" } else { "internal" };
            return Err(CatalogueError::Unreachable {
                role: role.name.clone(),
                port: text(port),
                from: port.from.clone(),
                network,
            });
        }
        // Along the way of what is passed on; no role may come twice.
        let (mut here, mut way, mut next) = (role, vec![&role.name], port.forward.as_ref());
        while let Some(name) = next {
            let to = self.other(here, port, name)?;
            let accepted = to.ports.iter().find(|other| {
                other.proto == port.proto && other.port == port.port && other.from == Source::Role(here.name.clone())
            });
            let Some(accepted) = accepted else {
                return Err(CatalogueError::Forward { role: here.name.clone(), port: text(port), to: to.name.clone() });
            };
            let seen = way.contains(&&to.name);
            way.push(&to.name);
            if seen {
                let circle = way.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" -> ");
                return Err(CatalogueError::Circle { port: text(port), circle });
            }
            (here, next) = (to, accepted.forward.as_ref());
        }
        Ok(())
    }

    /// The role that `role` names in a port of its own.
    fn other(&self, role: &Role, port: &Port, name: &Name) -> Result<&Role, CatalogueError> {
        if *name == role.name {
            return Err(CatalogueError::Itself { role: role.name.clone(), port: text(port) });
        }
        let unknown = || CatalogueError::Unknown { role: role.name.clone(), port: text(port), other: name.clone() };
        self.role(name.as_str()).ok_or_else(unknown)
    }
}

/// The folder of a workload or native, as it was found.
struct Folder<'f> {
    /// The file that says what it is.
    file: &'f str,
    text: &'f str,
    role: &'f str,
    name: &'f str,
    is_workload: bool,
    /// Where each was read, its path on the guest, and the text.
    templates: Vec<(&'f str, &'f str, &'f str)>,
}

impl Folder<'_> {
    /// Role and name.
    fn names(&self) -> Result<(Name, Name), CatalogueError> {
        let name = |name: &str| {
            let wrong = |_| CatalogueError::FolderName { file: self.file.to_owned(), name: name.to_owned() };
            Name::try_from(name.to_owned()).map_err(wrong)
        };
        Ok((name(self.role)?, name(self.name)?))
    }
}

/// The role of a file in `folder`.
fn read_role(file: &str, text: &str, folder: &str) -> Result<Role, CatalogueError> {
    let role = Role::parse(text, file)?;
    let (file, name) = (file.to_owned(), role.name.clone());
    if folder != name.as_str() {
        return Err(CatalogueError::Folder { file, name });
    }
    if Source::RESERVED.contains(&name.as_str()) {
        return Err(CatalogueError::Reserved { file, name });
    }
    Ok(role)
}

/// `tcp 443`
fn text(port: &Port) -> String {
    format!("{} {}", port.proto, port.port)
}
