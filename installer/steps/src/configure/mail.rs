//! Mail of the machine: root's goes to the person in charge; a mail server, where one is installed, listens to the machine alone.

use sovereign_engine::StepError;

use super::in_target;
use crate::context::Context;
use crate::create_arrays::host_name;
use crate::files::{self, PUBLIC};

/// The aliases and the kind of database that is made of them.
const ALIASES: &str = "hash:/etc/aliases";
/// What begins the name of a file with addresses in aliases(5).
const INCLUDE: &str = ":include:";

/// Writes the alias, the mail name and, where postfix is installed, its configuration.
///
/// # Errors
/// [`root_alias`]'s, the file system's, postalias'.
pub fn write(context: &Context) -> Result<(), StepError> {
    let site = &context.plan.site;
    let aliases = context.on_target("/etc/aliases");
    let before = if aliases.exists() { files::read(&aliases)? } else { String::new() };
    files::write(&aliases, with_root(&before, &root_alias(&site.admin.email)?).as_bytes(), PUBLIC)?;
    files::write(&context.on_target("/etc/mailname"), format!("{}\n", site.site.fqdn).as_bytes(), PUBLIC)?;
    if context.on_target("/usr/sbin/postfix").exists() {
        let text = postfix(&site.site.fqdn);
        files::write(&context.on_target("/etc/postfix/main.cf"), text.as_bytes(), PUBLIC)?;
        // What newaliases starts after it has read all of postfix's configuration (its sendmail.c).
        in_target(context, "cannot compile /etc/aliases", &["postalias", ALIASES])?;
    }
    Ok(())
}

/// The line of aliases(5) that sends root's mail to an address.
///
/// # Errors
/// The address would be taken for a command, a file or a list in a file. Quotes are no way out: postfix looks behind them
/// (local/token.c).
pub(super) fn root_alias(email: &str) -> Result<String, StepError> {
    let bare = email.trim_start_matches('"');
    let include = bare.get(..INCLUDE.len()).is_some_and(|start| start.eq_ignore_ascii_case(INCLUDE));
    if include || bare.starts_with(['|', '/', '~']) || email.chars().any(char::is_control) {
        let what = format!(
            "root's mail cannot go to `{}`: /etc/aliases would not take it for an address",
            email.escape_debug()
        );
        return Err(StepError::new(what).next("Set another admin.email in the site file."));
    }
    Ok(format!("root: {email}\n"))
}

/// aliases(5) with root's line replaced.
fn with_root(text: &str, root: &str) -> String {
    let others = text.lines().filter(|line| line.split(':').next().is_none_or(|name| name.trim() != "root"));
    others.map(|line| format!("{line}\n")).chain([root.to_owned()]).collect()
}

/// postconf(5) of a machine that sends mail and takes none from outside.
fn postfix(fqdn: &str) -> String {
    format!(
        "# Written by the installer.\nmyhostname = {fqdn}\nmyorigin = {fqdn}\n\
         mydestination = $myhostname, {short}, localhost.$mydomain, localhost\ninet_interfaces = loopback-only\n\
         mynetworks = 127.0.0.0/8 [::1]/128\nalias_maps = {ALIASES}\nalias_database = {ALIASES}\n\
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
            with_root(before, &root_alias("admin@example.org").unwrap()),
            "# See man 5 aliases\npostmaster:    root\nrooter: x\nroot: admin@example.org\n"
        );
        assert_eq!(with_root("", &root_alias("a@example.org").unwrap()), "root: a@example.org\n");
    }

    #[test]
    fn what_is_no_address_to_a_mail_server_is_no_alias() {
        for email in
            ["|sh@example.org", "/etc/shadow@x", "~/x@y", "\"|sh\"@example.org", ":Include:/x", "a@b\npostmaster: |sh"]
        {
            let error = root_alias(email).unwrap_err().render();
            assert!(error.contains("admin.email"), "{email}: {error}");
        }
    }
}
