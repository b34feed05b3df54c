//! Documents that are generated, the command-line help of a program among them. The tests of `sovereign-image` use this
//! file too.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the tree; this file is compiled for crates at two depths.
pub fn top() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().find(|folder| folder.join("Cargo.lock").exists()).unwrap().to_owned()
}

/// A generated document is what it should be; `package` and `test` say which test writes it anew.
pub fn is_fresh(path: &str, wanted: &str, package: &str, test: &str) {
    let path = top().join(path);
    if std::env::var_os("SOVEREIGN_UPDATE_DOCS").is_some() {
        fs::write(&path, wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is stale: SOVEREIGN_UPDATE_DOCS=1 cargo nextest run -p {package} --test {test}",
        path.display()
    );
}

/// What `--help` of a program and of each of its commands prints, a section each. The commands are those that the help
/// itself lists.
pub fn help(program: &str, path: &Path) -> String {
    let mut text = String::new();
    let mut commands = vec![String::new()];
    let mut next = 0;
    while let Some(command) = commands.get(next).cloned() {
        let mut call = Command::new(path);
        let output = call
            .args(command.split_whitespace())
            .arg("--help")
            .env("COLUMNS", "100")
            .env_remove("SOURCE_DATE_EPOCH")
            .output()
            .unwrap();
        assert!(output.status.success(), "{program} {command}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let printed: String = printed.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        write!(text, "\n## {}\n\n```text\n{printed}```\n", format!("{program} {command}").trim()).unwrap();
        let listed = printed.split_once("\nCommands:\n").map(|(_, rest)| rest.split("\n\n").next().unwrap_or_default());
        // Names are indented by two blanks, what wraps by more.
        let names = listed.into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("  "));
        let names = names.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_whitespace().next());
        let below = names.filter(|name| *name != "help").map(|name| format!("{command} {name}").trim().to_owned());
        let later = commands.split_off(next + 1);
        commands.extend(below);
        commands.extend(later);
        next += 1;
    }
    text
}
