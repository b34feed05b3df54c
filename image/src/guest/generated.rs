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

/// The files: path relative to the root, and text. `left_out` are the role's workloads that are not on the image.
pub fn files(role: &Role, catalogue: &Catalogue, left_out: &[String]) -> Vec<(String, String)> {
    let mut files = vec![
        (RULES_PATH, firewall::rules(role, catalogue, &Addresses::default())),
        // agetty takes a backslash for the beginning of a word of its own; texts of roles have none that it knows.
        (ISSUE_PATH, banner(role, left_out).replace('\\', "\\\\")),
        (MOTD_PATH, banner(role, left_out)),
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
fn banner(role: &Role, left_out: &[String]) -> String {
    let mut text = format!("Sovereign Appliance: {}, {} (role version {})\n", role.name, role.title, role.version);
    if let Some(workloads) = list(left_out) {
        text.push_str(&format!("Not on the image this machine was made from: {workloads}\n"));
    }
    text.push('\n');
    text
}

/// Names as a text; none if there are none.
pub fn list(names: &[String]) -> Option<String> {
    if names.is_empty() { None } else { Some(names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_from_each_role() {
        let catalogue = Catalogue::shipped().unwrap();
        for role in catalogue.roles() {
            let left_out: Vec<String> = role.workloads.iter().map(ToString::to_string).collect();
            let files = files(role, catalogue, &left_out);
            let text = files.iter().filter(|(path, _)| path != RULES_PATH);
            let text: Vec<String> = text.map(|(path, text)| format!("== {path}\n{text}")).collect();
            insta::assert_snapshot!(role.name.to_string(), text.concat());
        }
    }

    #[test]
    fn a_banner_names_the_workloads_that_are_not_on_the_image_and_no_others() {
        let catalogue = Catalogue::shipped().unwrap();
        let role = catalogue.role("core").unwrap();
        let text = |left_out: &[&str]| {
            let left_out: Vec<String> = left_out.iter().map(|name| (*name).to_owned()).collect();
            files(role, catalogue, &left_out).into_iter().find(|(path, _)| path == MOTD_PATH).unwrap().1
        };
        assert!(text(&["livekit", "stalwart"]).ends_with("was made from: livekit, stalwart\n\n"));
        assert_eq!(text(&[]), format!("Sovereign Appliance: core, {} (role version {})\n\n", role.title, role.version));
    }
}
