//! Where the clock comes from: the site's time servers, or else those of Debian's chrony.

use sovereign_engine::StepError;

use crate::context::Context;
use crate::files::{self, PUBLIC};

/// chrony's configuration, a package's file.
const CONFIGURATION: &str = "/etc/chrony/chrony.conf";
/// Our servers, read beside it.
const SOURCES: &str = "/etc/chrony/sources.d/sovereign.sources";

/// Writes the servers, and takes the package's own out of use.
///
/// # Errors
/// chrony is not there, or the file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    let servers = &context.plan.site.network.ntp;
    if servers.is_empty() {
        return Ok(());
    }
    let path = context.on_target(CONFIGURATION);
    files::write(&path, without_pools(&files::read(&path)?).as_bytes(), PUBLIC)?;
    files::write(&context.on_target(SOURCES), sources(servers).as_bytes(), PUBLIC)
}

/// chrony's lines for these servers.
pub fn sources(servers: &[String]) -> String {
    servers.iter().map(|server| format!("server {server} iburst\n")).collect()
}

/// chrony.conf(5) with every line that names a source of its own, or asks DHCP for one, made a comment.
fn without_pools(text: &str) -> String {
    let named = |line: &str| {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("pool" | "server" | "peer") => true,
            Some("sourcedir") => words.next().is_some_and(|folder| folder.starts_with("/run/")),
            _ => false,
        }
    };
    text.lines().map(|line| if named(line) { format!("# site file: {line}\n") } else { format!("{line}\n") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sources_of_the_package_are_taken_out() {
        // chrony 4.6.1, shortened
        let text = "confdir /etc/chrony/conf.d\npool 2.vendor.pool.example.org iburst\nsourcedir /run/chrony-dhcp\n\
                    sourcedir /etc/chrony/sources.d\nmakestep 1 3\n";
        assert_eq!(
            without_pools(text),
            "confdir /etc/chrony/conf.d\n# site file: pool 2.vendor.pool.example.org iburst\n\
             # site file: sourcedir /run/chrony-dhcp\nsourcedir /etc/chrony/sources.d\nmakestep 1 3\n"
        );
    }
}
