//! Generated documents are what the code says today. `SOVEREIGN_UPDATE_DOCS=1 cargo nextest run -p sovereign-app --test
//! docs` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

mod help;

use help::top;

fn is_fresh(path: &str, wanted: &str) {
    help::is_fresh(path, wanted, "sovereign-app", "docs");
}

/// Replaces what stands between the two markers of a generated block.
fn with_block(text: &str, block: &str) -> String {
    let (head, rest) = text.split_once("<!-- generated: crates -->\n").expect("the block's first marker");
    let (_, tail) = rest.split_once("<!-- end -->").expect("the block's last marker");
    format!("{head}<!-- generated: crates -->\n{block}<!-- end -->{tail}")
}

/// `crate -> crates of ours it may use`, as the manifests say.
#[test]
fn the_arrows_are_those_of_the_manifests() {
    let mut block = String::from("```text\n");
    for member in [
        "installer/app",
        "installer/tui",
        "installer/steps",
        "installer/engine",
        "installer/system",
        "installer/proxmox",
        "installer/model",
        "image",
        "image/fixture",
        "qemu-tests",
    ] {
        let manifest = fs::read_to_string(top().join(member).join("Cargo.toml")).unwrap();
        let (_, rest) = manifest.split_once("[dependencies]\n").unwrap();
        let dependencies = rest.split("\n[").next().unwrap_or_default();
        let ours: Vec<&str> =
            dependencies.lines().filter_map(|l| l.strip_prefix("sovereign-")?.split(['.', ' ', '=']).next()).collect();
        let to = if ours.is_empty() { "nothing of ours".to_owned() } else { ours.join(", ") };
        writeln!(block, "{member:<18} -> {to}").unwrap();
    }
    block.push_str("```\n");
    let text = fs::read_to_string(top().join("docs/architecture.md")).unwrap();
    is_fresh("docs/architecture.md", &with_block(&text, &block));
}

/// `docs/help.md` is what `--help` prints.
#[test]
fn the_help_is_what_the_program_prints() {
    let text = help::help("sovereign-installer", Path::new(env!("CARGO_BIN_EXE_sovereign-installer")));
    assert!(
        text.contains("\n## sovereign-installer first-boot\n")
            && text.contains("\n## sovereign-installer pmxcfs check\n")
    );
    is_fresh(
        "docs/help.md",
        &format!(
            "# Command-line help\n\n\
             Generated from the program; [help-image.md](help-image.md) is that of `sovereign-image`.\n{text}"
        ),
    );
}
