//! Mail of the machine: root's goes to the person in charge; a mail server, where one is installed, listens to the machine alone.

use sovereign_engine::StepError;

use super::in_target;
use crate::context::Context;
use crate::create_arrays::host_name;
use crate::files::{self, PUBLIC};

/// Writes the alias, the mail name and, where postfix is installed, its configuration.
///
/// # Errors
/// The file system's, newaliases'.
pub fn write(context: &Context) -> Result<(), StepError> {
    let site = &context.plan.site;
    let aliases = context.on_target("/etc/aliases");
    let before = if aliases.exists() { files::read(&aliases)? } else { String::new() };
    files::write(&aliases, with_root(&before, &site.admin.email).as_bytes(), PUBLIC)?;
    files::write(&context.on_target("/etc/mailname"), format!("{}\n", site.site.fqdn).as_bytes(), PUBLIC)?;
    if context.on_target("/usr/sbin/postfix").exists() {
        let text = postfix(&site.site.fqdn);
        files::write(&context.on_target("/etc/postfix/main.cf"), text.as_bytes(), PUBLIC)?;
        in_target(context, "cannot compile /etc/aliases", &["newaliases"])?;
    }
    Ok(())
}

/// aliases(5) with root's replaced.
fn with_root(text: &str, email: &str) -> String {
    let others = text.lines().filter(|line| line.split(':').next().is_none_or(|name| name.trim() != "root"));
    others.map(|line| format!("{line}\n")).chain([format!("root: {email}\n")]).collect()
}

/// postconf(5) of a machine that sends mail and takes none from outside.
fn postfix(fqdn: &str) -> String {
    format!(
        "# Written by the installer.\nmyhostname = {fqdn}\nmyorigin = {fqdn}\n\
         mydestination = $myhostname, {short}, localhost.$mydomain, localhost\ninet_interfaces = loopback-only\n\
         mynetworks = 127.0.0.0/8 [::1]/128\nalias_maps = hash:/etc/aliases\nalias_database = hash:/etc/aliases\n\
         biff = no\nappend_dot_mydomain = no\nrelayhost =\ncompatibility_level = 3.6\n",
        short = host_name(fqdn)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_mail_goes_to_the_person_in_charge_and_other_aliases_stay() {
        let before = "# See man 5 aliases\npostmaster:    root\nroot: somebody\nrooter: x\n";
        assert_eq!(
            with_root(before, "admin@example.org"),
            "# See man 5 aliases\npostmaster:    root\nrooter: x\nroot: admin@example.org\n"
        );
        assert_eq!(with_root("", "a@example.org"), "root: a@example.org\n");
    }
}
