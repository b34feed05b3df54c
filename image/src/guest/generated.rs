//! Files of a guest that are made from its role: pure functions of role.toml.

use sovereign_model::firewall::{self, Addresses, RULES_PATH};
use sovereign_model::role::{Catalogue, Filesystem, Role};

/// Which data volume there is; read by `sovereign-data.service` of the guests' base.
const DATA_PATH: &str = "etc/sovereign/data";
/// What is shown before a login on a console.
const ISSUE_PATH: &str = "etc/issue.d/sovereign.issue";
/// What is shown after a login.
const MOTD_PATH: &str = "etc/motd.d/sovereign";
/// The kernel passes packets on.
const ROUTER_PATH: &str = "etc/sysctl.d/50-sovereign-router.conf";

/// The files: path relative to the root, and text.
pub fn files(role: &Role, catalogue: &Catalogue) -> Vec<(String, String)> {
    let mut files = vec![
        (RULES_PATH, firewall::rules(role, catalogue, &Addresses::default())),
        // agetty takes a backslash for the beginning of a word of its own; texts of roles have none that it knows.
        (ISSUE_PATH, banner(role).replace('\\', "\\\\")),
        (MOTD_PATH, banner(role)),
    ];
    if let Some(data) = &role.volumes.data {
        let filesystem = match data.filesystem {
            Filesystem::Ext4 => "ext4",
            Filesystem::Xfs => "xfs",
        };
        files.push((DATA_PATH, format!("LABEL=data\nFILESYSTEM={filesystem}\nMOUNT={}\n", data.mount)));
    }
    if firewall::is_router(role) {
        let text = "# The way from the internal network to the public one; what may take it is the firewall's.\n\
                    net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n";
        files.push((ROUTER_PATH, text.to_owned()));
    }
    files.into_iter().map(|(path, text)| (path.to_owned(), text)).collect()
}

/// Who this machine is, and what it does not run.
fn banner(role: &Role) -> String {
    let mut text = format!("Sovereign Appliance: {}, {} (role version {})\n", role.name, role.title, role.version);
    if let Some(workloads) = left_out(&role.workloads) {
        text.push_str(&format!("Not on the image this machine was made from: {workloads}\n"));
    }
    text.push('\n');
    text
}

/// The workloads that are not on the image, by name; none if there is nothing to say.
pub fn left_out(workloads: &[impl ToString]) -> Option<String> {
    let names: Vec<String> = workloads.iter().map(ToString::to_string).collect();
    if names.is_empty() { None } else { Some(names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_from_each_role() {
        let catalogue = Catalogue::shipped().unwrap();
        for role in catalogue.roles() {
            let files = files(role, catalogue);
            let text = files.iter().filter(|(path, _)| path != RULES_PATH);
            let text: Vec<String> = text.map(|(path, text)| format!("== {path}\n{text}")).collect();
            insta::assert_snapshot!(role.name.to_string(), text.concat());
        }
    }
}
