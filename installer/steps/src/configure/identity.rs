//! Host name, machine id, SSH host keys.

use std::fs;

use sovereign_engine::StepError;
use uuid::Uuid;

use super::in_target;
use crate::context::Context;
use crate::create_arrays::host_name;
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
    let address = context.plan.site.network.address.as_deref();
    files::write(&context.on_target("/etc/hosts"), hosts(fqdn, address).as_bytes(), PUBLIC)?;
    let id = Uuid::new_v4().simple().to_string();
    files::write(&context.on_target("/etc/machine-id"), format!("{id}\n").as_bytes(), 0o444)?;
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

/// /etc/hosts; `address` is the static address with its prefix length.
fn hosts(fqdn: &str, address: Option<&str>) -> String {
    // Debian's convention for a host without a fixed address.
    let own = address.and_then(|a| a.split('/').next()).unwrap_or("127.0.1.1");
    let short = host_name(fqdn);
    let names = if short == fqdn { short.to_owned() } else { format!("{fqdn} {short}") };
    format!(
        "127.0.0.1 localhost\n{own} {names}\n\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 \
         ip6-allrouters\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_address_carries_the_name() {
        assert!(hosts("node.example.org", Some("192.0.2.10/24")).contains("\n192.0.2.10 node.example.org node\n"));
        assert!(hosts("node.example.org", Some("2001:db8::10/64")).contains("\n2001:db8::10 node.example.org node\n"));
        assert!(hosts("node.example.org", None).contains("\n127.0.1.1 node.example.org node\n"));
        assert!(hosts("node", None).contains("\n127.0.1.1 node\n"));
    }
}
