//! Locale, time zone, keyboard.

use sovereign_engine::StepError;

use super::in_target;
use crate::context::Context;
use crate::files::{self, PUBLIC};

/// Part of libc: nothing has to be generated for it.
const BUILT_IN: &str = "C.UTF-8";

/// Writes all three.
///
/// # Errors
/// The time zone is unknown, or a program or the file system refuses.
pub fn write(context: &Context) -> Result<(), StepError> {
    let site = &context.plan.site.site;
    files::write(&context.on_target("/etc/default/locale"), format!("LANG={}\n", site.locale).as_bytes(), PUBLIC)?;
    if site.locale != BUILT_IN {
        let charset = site.locale.split_once('.').map_or("UTF-8", |(_, c)| c);
        let line = format!("{} {charset}\n", site.locale);
        files::write(&context.on_target("/etc/locale.gen"), line.as_bytes(), PUBLIC)?;
        in_target(context, &format!("cannot generate the locale {}", site.locale), &["locale-gen"])?;
    }
    let zone = format!("/usr/share/zoneinfo/{}", site.timezone);
    if !context.on_target(&zone).exists() {
        return Err(StepError::new(format!("there is no time zone `{}`", site.timezone))
            .next("Correct site.timezone in the site file, such as Europe/Berlin, and install again."));
    }
    files::link(&context.on_target("/etc/localtime"), &zone)?;
    files::write(&context.on_target("/etc/timezone"), format!("{}\n", site.timezone).as_bytes(), PUBLIC)?;
    let keyboard = format!(
        "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"{}\"\nXKBVARIANT=\"\"\nXKBOPTIONS=\"\"\nBACKSPACE=\"guess\"\n",
        site.keyboard
    );
    files::write(&context.on_target("/etc/default/keyboard"), keyboard.as_bytes(), PUBLIC)
}
