//! `docs/help-image.md` is what the program's help says today. `SOVEREIGN_UPDATE_DOCS=1 cargo nextest run -p
//! sovereign-image --test help` writes it anew.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

#[path = "../../installer/app/tests/help/mod.rs"]
mod help;

#[test]
fn the_help_is_what_the_program_prints() {
    let text = help::help("sovereign-image", Path::new(env!("CARGO_BIN_EXE_sovereign-image")));
    assert!(text.contains("\n## sovereign-image write\n"));
    let title = "# Command-line help of the image builder\n\n\
        Generated from the program; [help.md](help.md) is that of `sovereign-installer`.\n";
    help::is_fresh("docs/help-image.md", &format!("{title}{text}"), "sovereign-image", "help");
}
