//! What the workloads of a guest are configured with: files from their templates, secrets drawn on this machine, certificates of its own
//! authority.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use sha2::{Digest, Sha256};
use sovereign_engine::StepError;
use sovereign_model::medium::MediumWorkload;
use sovereign_model::plan::{Addressing, Guest, Guests};
use sovereign_model::role::{Catalogue, Network};
use sovereign_model::workload::{CertificateHosts, Facts, Owner, Piece, Workload};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::fail::OrStep;
use crate::files::{self, PRIVATE, PUBLIC};

mod authority;
mod secrets;

use authority::Authority;
use secrets::Secrets;

/// The authority's certificate on a guest.
const AUTHORITY_PATH: &str = "etc/sovereign/ca.pem";

/// A file as it will lie on a guest.
struct Made {
    /// Relative to the guest's root.
    path: String,
    mode: u32,
    /// Number of its user and group.
    owner: (u32, u32),
    content: Zeroizing<Vec<u8>>,
}

/// Writes what the workloads `present` of `guest`, whose root is at `folder`, are configured with, and what workloads of other guests need
/// there. Called again it writes the same secrets, which lie on the encrypted root from then on. Without the machines' addresses it writes
/// nothing.
///
/// # Errors
/// A template needs what the site does not say, or the file system refuses.
pub fn configure(
    context: &Context,
    guest: &Guest,
    folder: &Path,
    present: &[&MediumWorkload],
) -> Result<(), StepError> {
    for file in made(context, guest, folder, present)? {
        let path = folder.join(&file.path);
        files::write(&path, &file.content, file.mode)?;
        let (user, group) = file.owner;
        let attempt = || -> std::io::Result<()> {
            let found = fs::symlink_metadata(&path)?;
            if (found.uid(), found.gid()) == file.owner { Ok(()) } else { lchown(&path, Some(user), Some(group)) }
        };
        attempt().or_step(&format!("cannot give {} to user {user}", path.display()))?;
    }
    Ok(())
}

/// Whether everything that the medium has can be configured for this site; a sentence where nothing will be. Writes nothing.
///
/// # Errors
/// A template needs what the site does not say.
pub fn check(context: &Context) -> Result<Option<String>, StepError> {
    let guests = context.guests()?;
    if on_medium(context).next().is_some() && !has_addresses(guests) {
        let text = "the medium's workloads are not configured: the site does not give every machine its internal_address, by which \
                    services are reached; templates have their images alone";
        return Ok(Some(text.to_owned()));
    }
    let facts = facts(context, |role, name| on_medium(context).any(|known| known.role == role && known.name == name))?;
    for guest in &guests.guests {
        facts.files(guest.role.as_str()).or_step(&attempted(guest)).map_err(|error| {
            error.next(
                "Keep this text: the site file lacks something that its check did not ask for. No disk was changed.",
            )
        })?;
    }
    Ok(None)
}

/// Whether every machine has its address on the internal network. A site may leave them out where it makes templates alone.
fn has_addresses(guests: &Guests) -> bool {
    let mut interfaces = guests.guests.iter().flat_map(|guest| &guest.interfaces);
    interfaces.all(|interface| {
        interface.network != Network::Internal || matches!(interface.address, Addressing::Static { .. })
    })
}

fn attempted(guest: &Guest) -> String {
    format!("the workloads of the guest `{}` cannot be configured", guest.role)
}

fn on_medium(context: &Context) -> impl Iterator<Item = &MediumWorkload> {
    context.manifest.guests.iter().flat_map(|guests| &guests.workloads)
}

fn facts(context: &Context, is_present: impl Fn(&str, &str) -> bool) -> Result<Facts<'static>, StepError> {
    let catalogue = Catalogue::shipped().or_step("the installer's roles are not valid")?;
    let is_present = |workload: &Workload| is_present(workload.role.as_str(), workload.name.as_str());
    Ok(Facts::new(&context.plan.site, context.guests()?, catalogue, is_present))
}

/// The files of one guest.
fn made(context: &Context, guest: &Guest, folder: &Path, present: &[&MediumWorkload]) -> Result<Vec<Made>, StepError> {
    let mut made = Vec::new();
    if !has_addresses(context.guests()?) {
        return Ok(made);
    }
    let role = guest.role.as_str();
    let own = |name: &str| present.iter().any(|known| known.role == role && known.name == name);
    let others = |role: &str, name: &str| on_medium(context).any(|known| known.role == role && known.name == name);
    let facts = facts(context, |of, name| if of == role { own(name) } else { others(of, name) })?;
    let files = facts.files(role).or_step(&attempted(guest))?;
    if files.is_empty() {
        return Ok(made);
    }
    let secrets = Secrets::new(context, facts.catalogue);
    for file in files {
        let path = file.path.trim_start_matches('/').to_owned();
        let owner = owner(folder, &file.access.owner)?;
        made.push(Made { path, mode: file.access.mode.bits(), owner, content: filled(&file.pieces, &secrets)? });
    }
    let authority = Authority::open(context, &facts)?;
    for workload in facts.of_role(role) {
        let Some(wanted) = &workload.certificate else { continue };
        let hosts = match wanted.hosts {
            CertificateHosts::Own => facts.host(workload).map(str::to_owned).into_iter().collect(),
            CertificateHosts::All => facts.all_hosts(),
        };
        let hosts = if hosts.is_empty() { vec![facts.domain.clone()] } else { hosts };
        let signed = authority.sign(hosts)?;
        let relative = |path: &str| path.trim_start_matches('/').to_owned();
        let content = Zeroizing::new(signed.certificate.into_bytes());
        made.push(Made { path: relative(wanted.certificate.as_str()), mode: PUBLIC, owner: (0, 0), content });
        let owner = owner(folder, &wanted.owner)?;
        let content = Zeroizing::new(signed.key.as_bytes().to_vec());
        made.push(Made { path: relative(wanted.key.as_str()), mode: PRIVATE, owner, content });
    }
    let content = Zeroizing::new(authority.certificate().as_bytes().to_vec());
    made.push(Made { path: AUTHORITY_PATH.to_owned(), mode: PUBLIC, owner: (0, 0), content });
    Ok(made)
}

/// What a file holds, with its secrets in their places.
fn filled(pieces: &[Piece], secrets: &Secrets<'_>) -> Result<Zeroizing<Vec<u8>>, StepError> {
    let mut parts: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    for piece in pieces {
        parts.push(Zeroizing::new(match piece {
            Piece::Text(text) => text.as_bytes().to_vec(),
            Piece::Secret(id) => secrets.value(id)?.expose().to_vec(),
            Piece::SecretSha256(id) => {
                let sum = Sha256::digest(secrets.value(id)?.expose());
                sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes()
            }
        }));
    }
    // A vector that grows would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in &parts {
        content.extend_from_slice(part);
    }
    Ok(content)
}

/// User and group of a file on the guest at `folder`: names are those of its packages.
fn owner(folder: &Path, owner: &Owner) -> Result<(u32, u32), StepError> {
    let name = match owner {
        Owner::Id(id) => return Ok((*id, *id)),
        Owner::Name(name) => name,
    };
    let accounts = files::read(&folder.join("etc/passwd"))?;
    let found = accounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[..] {
            [account, _, user, group, ..] if account == name => Some((user.parse().ok()?, group.parse().ok()?)),
            _ => None,
        }
    });
    found.ok_or_else(|| StepError::new(format!("the guest has no user `{name}`, whose some of its files are to be")))
}

#[cfg(test)]
mod tests;
