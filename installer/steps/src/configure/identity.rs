//! Host name, machine id, host id, SSH host keys.

use std::fs;

use sovereign_engine::StepError;
use sovereign_model::plan::Plan;
use sovereign_proxmox::files::hosts;
use uuid::Uuid;

use super::{in_target, node_address};
use crate::context::Context;
use crate::create_arrays::host_name;
use crate::fail::OrStep;
use crate::files::{self, PUBLIC};

/// Kinds of SSH host keys. RSA is left out: sshd passes over kinds without a key, and every client of the last ten years speaks these.
const KEY_KINDS: [&str; 2] = ["ed25519", "ecdsa"];

/// Writes them.
///
/// # Errors
/// The file system's, ssh-keygen's.
pub fn write(context: &Context) -> Result<(), StepError> {
    let fqdn = &context.plan.site.site.fqdn;
    files::write(&context.on_target("/etc/hostname"), format!("{}\n", host_name(fqdn)).as_bytes(), PUBLIC)?;
    files::write(&context.on_target("/etc/hosts"), hosts_file(&context.plan)?.as_bytes(), PUBLIC)?;
    let id = Uuid::new_v4().simple().to_string();
    files::write(&context.on_target("/etc/machine-id"), format!("{id}\n").as_bytes(), 0o444)?;
    // gethostid(3) makes one of the address otherwise, and addresses are given again.
    files::write(&context.on_target("/etc/hostid"), &Uuid::new_v4().as_bytes()[..4], PUBLIC)?;
    for kind in KEY_KINDS {
        let path = format!("/etc/ssh/ssh_host_{kind}_key");
        // From an earlier attempt ssh-keygen would ask about; there is none on a fresh file system, and none is an error.
        let _ = fs::remove_file(context.on_target(&path));
        let comment = format!("root@{}", host_name(fqdn));
        in_target(
            context,
            "cannot make an SSH host key",
            &["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", &comment, "-f", &path],
        )?;
    }
    Ok(())
}

/// /etc/hosts.
///
/// # Errors
/// The name or the address cannot be a host's.
pub(super) fn hosts_file(plan: &Plan) -> Result<String, StepError> {
    let fqdn = &plan.site.site.fqdn;
    match node_address(plan) {
        Some(address) => hosts(fqdn, address).or_step("the site file's name and address make no /etc/hosts"),
        None => Ok(without_address(fqdn)),
    }
}

/// /etc/hosts of a machine without an address that stays. `verify-site` lets no Proxmox VE node come here.
fn without_address(fqdn: &str) -> String {
    // Debian's convention for a host without a fixed address.
    format!("127.0.0.1 localhost\n127.0.1.1 {fqdn} {}\n\n::1 localhost ip6-localhost ip6-loopback\n", host_name(fqdn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_address_the_name_is_still_known() {
        assert!(without_address("node.example.org").contains("\n127.0.1.1 node.example.org node\n"));
    }
}
