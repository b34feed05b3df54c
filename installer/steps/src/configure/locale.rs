//! Locale, time zone, keyboard.

use sovereign_engine::StepError;
use sovereign_system::tools::keyboard;

use super::in_target;
use crate::context::Context;
use crate::files::{self, PUBLIC};

/// Part of libc: nothing has to be generated for it.
const BUILT_IN: &str = "C.UTF-8";
/// Where compiled locales are, a folder each; the image has those that are asked for most.
const COMPILED: &str = "/usr/lib/locale";

/// Writes all three.
///
/// # Errors
/// The time zone is unknown, or a program or the file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    let site = &context.plan.site.site;
    files::write(&context.on_target("/etc/default/locale"), format!("LANG={}\n", site.locale).as_bytes(), PUBLIC)?;
    if site.locale != BUILT_IN {
        let line = format!("{} UTF-8\n", site.locale);
        files::write(&context.on_target("/etc/locale.gen"), line.as_bytes(), PUBLIC)?;
        if !context.on_target(&format!("{COMPILED}/{}", as_listed(&site.locale))).is_dir() {
            in_target(context, &format!("cannot generate the locale {}", site.locale), &["locale-gen"])?;
        }
    }
    let zone = format!("/usr/share/zoneinfo/{}", site.timezone);
    if !context.on_target(&zone).exists() {
        return Err(StepError::new(format!("there is no time zone `{}`", site.timezone))
            .next("Correct site.timezone in the site file, such as Europe/Berlin, and install again."));
    }
    files::link(&context.on_target("/etc/localtime"), &zone)?;
    files::write(&context.on_target("/etc/timezone"), format!("{}\n", site.timezone).as_bytes(), PUBLIC)?;
    files::write(&context.on_target(keyboard::CONFIG), keyboard::config(&site.keyboard).as_bytes(), PUBLIC)
}

/// The locale was generated: locale-gen ends with 0 whatever became of it.
///
/// # Errors
/// It is not among the target's.
pub fn check(context: &Context) -> Result<(), StepError> {
    let locale = &context.plan.site.site.locale;
    let found = in_target(context, "cannot list the locales", &["locale", "-a"])?.stdout;
    if found.lines().any(|l| l == as_listed(locale)) {
        return Ok(());
    }
    Err(StepError::new(format!("the locale {locale} was not generated"))
        .next("Choose another site.locale in the site file, such as en_US.UTF-8 or C.UTF-8, and install again."))
}

/// A UTF-8 locale as `locale -a` has it.
fn as_listed(locale: &str) -> String {
    locale.replacen(".UTF-8", ".utf8", 1)
}
