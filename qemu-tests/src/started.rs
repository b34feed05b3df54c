//! A template's disk that is started by itself with a seed, as Proxmox VE would start a machine that was cloned from it.

use std::path::PathBuf;
use std::time::Duration;

use toml::Table;

use crate::agent;
use crate::boot::LOGIN_TIMEOUT;
use crate::cables::{Cables, End};
use crate::console::re;
use crate::disk::{Bus, Disk};
use crate::failure::OrFail;
use crate::guest::assert_no_failed_unit;
use crate::host::{self, HostError};
use crate::machine::{Firmware, Machine};
use crate::medium::AnswerMedium;
use crate::shell::Shell;
use crate::templates::{SITE, Templates};
use crate::timing::Lab;
use crate::vm::Vm;
use crate::words::ROOT_PASSWORD;

/// From the login prompt to the end of cloud-init, with role's services on a loaded host.
const CLOUD_INIT_TIMEOUT: Duration = Duration::from_secs(900);
/// A started guest's agent.
const AGENT_TIMEOUT: Duration = Duration::from_secs(300);
/// A data disk of 10 GB stands for the terabytes of the reference.
const DATA_BYTES: u64 = 10_000_000_000;

/// See the module: cloud-init finishes, and there is a root shell.
#[derive(Debug)]
pub struct Started {
    /// The machine, off.
    pub machine: Machine,
    role: String,
    agent: PathBuf,
}

impl Started {
    /// On a network of its own, where the host of the tests reaches its SSH server.
    #[track_caller]
    pub fn of(lab: &Lab, templates: &Templates, role: &str, firmware: Firmware) -> Self {
        let machine = Machine::new(lab, firmware).paravirtual_network();
        Self::seeded(lab, templates, machine, role, &[interface("192.0.2.10/24", None)])
    }

    /// With its addresses of the site file on these cables, in the order of its networks.
    #[track_caller]
    pub fn on_cables(lab: &Lab, role: &str, cables: &Cables) -> Self {
        let machine = Machine::new(lab, Firmware::Bios).plug_in(cables, End::First);
        let internal = site_text(&["guests", "roles", role, "internal_address"]);
        let interfaces = match site_value(&["guests", "roles", role, "public_address"]) {
            Some(public) => {
                let gateway = site_text(&["guests", "roles", role, "public_gateway"]);
                vec![interface(&public, Some(&gateway)), interface(&internal, None)]
            }
            None => vec![interface(&internal, Some(&site_text(&["guests", "internal_gateway"])))],
        };
        Self::seeded(lab, &Templates::get(), machine, role, &interfaces)
    }

    #[track_caller]
    fn seeded(lab: &Lab, templates: &Templates, machine: Machine, role: &str, interfaces: &[String]) -> Self {
        let mut machine = machine.memory_mib(1024);
        machine = machine.disk_over(Disk::new(Bus::Scsi, "ROOT0001", 0), &templates.image(role), "qcow2");
        // The edge has no data.
        if role != "edge" {
            machine = machine.disk(Disk::new(Bus::Scsi, "DATA0001", DATA_BYTES).rotating(7200));
        }
        let user_data = format!(
            "#cloud-config\nchpasswd:\n  expire: false\n  users:\n    - {{ name: root, password: {ROOT_PASSWORD}, type: text }}\n"
        );
        let meta_data = format!("instance-id: i-{role}\nlocal-hostname: {role}\n");
        let mut network = "version: 1\nconfig:\n".to_owned();
        for (number, subnet) in interfaces.iter().enumerate() {
            network += &format!("  - {{ type: physical, name: eth{number}, subnets: [{subnet}] }}\n");
        }
        let files: [(&str, &[u8]); 3] = [
            ("user-data", user_data.as_bytes()),
            ("meta-data", meta_data.as_bytes()),
            ("network-config", network.as_bytes()),
        ];
        machine.answer(&AnswerMedium::seed(lab, "seed", &files));
        let agent = machine.agent();
        Self { machine, role: role.to_owned(), agent }
    }

    /// A root shell, once cloud-init and everything that starts is done, and nothing has failed.
    #[track_caller]
    pub fn log_in<'vm>(&self, vm: &'vm Vm) -> Shell<'vm> {
        let role = &self.role;
        // The password comes from the seed.
        vm.console().wait_for(re(r"Cloud-init v\. .* finished at"), CLOUD_INIT_TIMEOUT);
        // A prompt of before has scrolled away.
        vm.console().send_line("");
        let shell = Shell::log_in(vm, ROOT_PASSWORD, LOGIN_TIMEOUT);
        vm.lab().mark(&format!("{role}: logged in"));
        let status = shell.run_within("cloud-init status --wait --long", CLOUD_INIT_TIMEOUT);
        assert!(status.stdout.contains("status: done"), "{}", status.stdout);
        assert_eq!(shell.ok("hostname").trim(), role);
        assert_eq!(agent::ask(vm, &self.agent, "guest-get-host-name", AGENT_TIMEOUT)["host-name"], role.as_str());
        shell.wait_until("systemctl is-system-running --wait", re("^running$|^degraded$"), LOGIN_TIMEOUT);
        assert_no_failed_unit(&shell);
        for unit in ["nftables.service", "qemu-guest-agent.service"] {
            assert_eq!(shell.ok(&format!("systemctl is-active {unit}")).trim(), "active", "{unit}");
        }
        assert_eq!(shell.ok("findmnt -no SOURCE,FSTYPE /").trim(), "/dev/mapper/guest-root ext4");
        shell
    }
}

/// An interface's addresses, in the words of cloud-init's network configuration, version 1.
fn interface(address: &str, gateway: Option<&str>) -> String {
    let gateway = gateway.map(|gateway| format!(", gateway: {gateway}")).unwrap_or_default();
    format!("{{ type: static, address: {address}{gateway} }}")
}

/// A text of the templates' site file, by its keys.
#[track_caller]
pub fn site_text(keys: &[&str]) -> String {
    site_value(keys).unwrap_or_else(|| panic!("the site file {SITE} has no {}", keys.join(".")))
}

#[track_caller]
fn site_value(keys: &[&str]) -> Option<String> {
    let path = host::site(SITE);
    let text = std::fs::read_to_string(&path).map_err(|source| HostError::file("read", &path, source)).or_fail();
    let site = toml::Value::Table(text.parse::<Table>().or_fail());
    let value = keys.iter().try_fold(&site, |value, key| value.get(key));
    value.and_then(toml::Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_site_file() {
        assert_eq!(site_text(&["guests", "roles", "core", "internal_address"]), "10.10.0.12/24");
        assert_eq!(site_value(&["guests", "roles", "core", "public_address"]), None);
        let both = interface("192.0.2.11/24", Some("192.0.2.1"));
        assert_eq!(both, "{ type: static, address: 192.0.2.11/24, gateway: 192.0.2.1 }");
    }
}
