//! Step `verify-site`: the names in the site file stand for something on the system that will be installed, and everything that is made of
//! the plan alone can be made. The running system is made of the same packages, so it is looked at in their place.

use std::fs;
use std::path::Path;

use sovereign_engine::{Harmless, Report, Step, StepError};
use sovereign_model::site::Identity;

use crate::configure::{compute, node_address, qemu};
use crate::context::Context;
use crate::fail::OrStep;

/// Time zones, a file each (tzdata).
const ZONES: &str = "usr/share/zoneinfo";
/// The keyboard layouts, in the section `layout` (xkb-data).
const LAYOUTS: &str = "usr/share/X11/xkb/rules/base.lst";
/// Every locale that can be generated, a line each with its charset (locales).
const LOCALES: &str = "usr/share/i18n/SUPPORTED";

/// chrony's configuration, which the site's time servers are put beside.
const CHRONY: &str = "etc/chrony/chrony.conf";

/// See the module.
pub struct VerifySite;

impl Step<Context, Harmless> for VerifySite {
    fn name(&self) -> &'static str {
        "verify-site"
    }

    fn describe(&self, context: &Context) -> String {
        let site = &context.plan.site.site;
        format!(
            "look up the time zone {}, the keyboard {} and the locale {}, and make the target's configuration once",
            site.timezone, site.keyboard, site.locale
        )
    }

    fn run(&self, context: &mut Context, _: &Harmless, _: &Report<'_>) -> Result<(), StepError> {
        prepared(context)
    }

    fn check(&self, _: &mut Context) -> Result<(), StepError> {
        Ok(())
    }
}

/// Looks everything up and makes everything once.
fn prepared(context: &Context) -> Result<(), StepError> {
    verify(&context.live, &context.plan.site.site)?;
    if context.is_proxmox() && node_address(&context.plan).is_none() {
        return Err(StepError::new(
            "network.mode is \"dhcp\", and the name of a Proxmox VE node must stand for an address that stays",
        )
        .next("Set network.internal_address in the site file, or use mode = \"static\". No disk was changed."));
    }
    if !context.plan.site.network.ntp.is_empty() && !context.live.join(CHRONY).is_file() {
        return Err(StepError::new("network.ntp names time servers, and this image has no chrony to ask them")
            .next("Remove network.ntp from the site file, or use another image. No disk was changed."));
    }
    let qemu = context.is_proxmox().then(|| qemu(context)).transpose()?;
    compute(&context.plan, qemu.as_deref()).map_err(|error| {
        let next = error.next.clone().unwrap_or_else(|| "Correct the site file.".to_owned());
        error.next(format!("{next} No disk was changed."))
    })
}

/// Compares `site` with what the system with the root folder `live` knows.
///
/// # Errors
/// A name stands for nothing there; or the system's own lists cannot be read.
pub fn verify(live: &Path, site: &Identity) -> Result<(), StepError> {
    if !live.join(ZONES).join(&site.timezone).is_file() {
        let mut known = Vec::new();
        zones(&live.join(ZONES), "", &mut known);
        return Err(unknown("timezone", &site.timezone, &known));
    }
    let layouts = layouts(&list(live, LAYOUTS)?);
    if !layouts.contains(&site.keyboard) {
        return Err(unknown("keyboard", &site.keyboard, &layouts));
    }
    let supported = list(live, LOCALES)?;
    if !is_locale(&supported, &site.locale) {
        let utf8 = supported.lines().filter_map(|l| l.strip_suffix(" UTF-8"));
        let known: Vec<String> = utf8.filter(|l| l.ends_with(".UTF-8")).map(str::to_owned).collect();
        return Err(unknown("locale", &site.locale, &known));
    }
    Ok(())
}

fn list(live: &Path, path: &str) -> Result<String, StepError> {
    let path = live.join(path);
    fs::read_to_string(&path).or_step(&format!("cannot read {}", path.display()))
}

fn unknown(key: &str, value: &str, known: &[String]) -> StepError {
    let near = known.iter().map(|k| (strsim::damerau_levenshtein(&value.to_lowercase(), &k.to_lowercase()), k));
    // More typing errors than this make another word.
    let near = near.filter(|(typos, _)| *typos <= (value.len() / 3).clamp(1, 4)).min();
    let next = match near {
        Some((_, near)) => {
            format!("Did you mean \"{near}\"? Correct site.{key} in the site file. No disk was changed.")
        }
        None => format!("Correct site.{key} in the site file. No disk was changed."),
    };
    StepError::new(format!("site.{key} is \"{value}\", which this system does not know")).next(next)
}

/// `Area/Location` of every file below `folder`. What cannot be read is left out: the names are suggestions.
fn zones(folder: &Path, area: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let name = format!("{area}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            zones(&entry.path(), &format!("{name}/"), found);
        } else if area.starts_with(|c: char| c.is_ascii_uppercase()) {
            found.push(name);
        }
    }
}

/// The first words of the section `! layout`; `custom` has no symbols unless somebody writes them.
fn layouts(text: &str) -> Vec<String> {
    let section = text.lines().skip_while(|l| *l != "! layout").skip(1).take_while(|l| !l.starts_with('!'));
    section.filter_map(|l| l.split_whitespace().next()).filter(|l| *l != "custom").map(str::to_owned).collect()
}

/// A locale with a modifier is listed as `de_DE@euro`, with a charset of its own; any of its sources can be had as UTF-8.
fn is_locale(supported: &str, locale: &str) -> bool {
    let mut names = supported.lines().filter_map(|l| l.split_once(' '));
    match locale.split_once('@') {
        None => names.any(|(name, charset)| name == locale && charset == "UTF-8"),
        Some((base, modifier)) => {
            let source = format!("{}@{modifier}", base.split('.').next().unwrap_or(base));
            names.any(|(name, _)| name == source)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sovereign_model::site::NetworkMode;

    use crate::testing::{context, live, proxmox_live};

    fn identity() -> Identity {
        Identity {
            name: "berlin-1".to_owned(),
            fqdn: "host.example.org".to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            keyboard: "de".to_owned(),
            locale: "de_DE.UTF-8".to_owned(),
        }
    }

    #[test]
    fn what_the_system_knows_passes() {
        let root = live();
        verify(root.path(), &identity()).unwrap();
        for locale in ["C.UTF-8", "de_DE.UTF-8@euro"] {
            verify(root.path(), &Identity { locale: locale.to_owned(), ..identity() }).unwrap();
        }
    }

    #[test]
    fn what_it_does_not_know_is_named_with_its_key_and_the_nearest_name() {
        let root = live();
        let wrong = |site: Identity| verify(root.path(), &site).unwrap_err().render();
        let with = |key: &str, value: &str, near: &str| {
            format!(
                "site.{key} is \"{value}\", which this system does not know\n  What to do: {near}Correct site.{key} in the \
                 site file. No disk was changed."
            )
        };
        let text = wrong(Identity { timezone: "Europe/Berlni".to_owned(), ..identity() });
        assert_eq!(text, with("timezone", "Europe/Berlni", "Did you mean \"Europe/Berlin\"? "));
        // A folder is no zone.
        let text = wrong(Identity { timezone: "America/Argentina".to_owned(), ..identity() });
        assert_eq!(text, with("timezone", "America/Argentina", ""));
        // Symbols that are no layout, and a layout without symbols.
        for keyboard in ["pc", "custom"] {
            let text = wrong(Identity { keyboard: keyboard.to_owned(), ..identity() });
            assert!(text.contains(&format!("site.keyboard is \"{keyboard}\"")), "{text}");
        }
        let text = wrong(Identity { locale: "de_DD.UTF-8".to_owned(), ..identity() });
        assert_eq!(text, with("locale", "de_DD.UTF-8", "Did you mean \"de_DE.UTF-8\"? "));
        let text = wrong(Identity { locale: "de_DE.UTF-8@eruo".to_owned(), ..identity() });
        assert!(text.contains("site.locale is \"de_DE.UTF-8@eruo\""), "{text}");
    }

    /// What the step itself says to a plan.
    fn stopped(change: impl Fn(&mut Context)) -> Option<String> {
        let target = tempfile::tempdir().unwrap();
        let (mut context, _) = context("reference", target.path());
        let live = proxmox_live();
        context.live = live.path().to_owned();
        context.plan.site.site.locale = "de_DE.UTF-8".to_owned();
        change(&mut context);
        let error = prepared(&context).err()?.render();
        assert!(error.ends_with("No disk was changed."), "{error}");
        Some(error)
    }

    #[test]
    fn what_could_not_be_made_later_stops_the_installation_here() {
        type Change = fn(&mut Context);
        assert_eq!(stopped(|_| {}), None);
        let cases: [(&str, Change); 6] = [
            ("localhost", |c| c.plan.site.site.fqdn = "localhost.example.org".to_owned()),
            ("169.254.1.1", |c| c.plan.site.network.address = Some("169.254.1.1/16".to_owned())),
            ("`a:b@example.org`", |c| c.plan.site.admin.email = "a:b@example.org".to_owned()),
            ("`|sh@example.org`", |c| c.plan.site.admin.email = "|sh@example.org".to_owned()),
            ("53:54:00:00:00:01", |c| c.plan.nics[0].mac = "53:54:00:00:00:01".to_owned()),
            ("no chrony", |c| c.plan.site.network.ntp = vec!["192.0.2.1".to_owned()]),
        ];
        for (what, change) in cases {
            let error = stopped(change).unwrap_or_else(|| panic!("{what} passed"));
            assert!(error.contains(what), "{what}: {error}");
        }
        let error = stopped(|c| {
            c.plan.site.network.mode = NetworkMode::Dhcp;
            c.plan.site.network.address = None;
            c.plan.site.network.internal_address = None;
        });
        assert!(error.unwrap().contains("an address that stays"));
    }

    #[test]
    fn a_system_without_its_lists_is_an_error_not_a_pass() {
        let root = live();
        fs::remove_file(root.path().join(LOCALES)).unwrap();
        assert!(verify(root.path(), &identity()).unwrap_err().render().contains("SUPPORTED"));
    }
}
