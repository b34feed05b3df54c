//! Layouts: what a machine's disks may carry when the installer comes. One shell script each, in the folder `layouts`, with a header
//! that says what is to become of it; `layouts/README.md` explains it.

use std::path::{Path, PathBuf};

/// What the installer does about a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is taken down and erased.
    Erased,
    /// No plan, for something spans a disk that was not chosen.
    Spans,
    /// No plan, for a disk is in use.
    InUse,
    /// The last look before the first write finds it.
    Stopped,
}

/// A layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Name of its file without `.sh`.
    pub name: String,
    /// How many chosen disks it takes.
    pub chosen: usize,
    /// How many disks it takes that are not chosen.
    pub kept: usize,
    /// What becomes of it.
    pub outcome: Outcome,
    /// What the refusal names.
    pub says: Option<String>,
    /// How it is taken away again.
    pub undo: Option<String>,
}

/// The folder of the layouts.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("layouts")
}

/// All layouts, by name.
///
/// # Errors
/// Which file cannot be read, or what is wrong with its header.
pub fn all() -> Result<Vec<Layout>, String> {
    let entries = std::fs::read_dir(folder()).map_err(|error| format!("{}: {error}", folder().display()))?;
    let mut layouts = Vec::new();
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".sh")) else { continue };
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
        layouts.push(parse(name, &text).map_err(|wrong| format!("{name}: {wrong}"))?);
    }
    layouts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(layouts)
}

fn parse(name: &str, text: &str) -> Result<Layout, String> {
    let field =
        |key: &str| text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(": "));
    let number = |text: &str| text.trim().parse::<usize>().map_err(|_| format!("`{text}` is no number of disks"));
    let disks = field("disks").ok_or("it does not say how many disks it takes")?;
    let (chosen, kept) = disks.split_once('+').unwrap_or((disks, "0"));
    let outcome = match field("outcome").ok_or("it does not say what becomes of it")? {
        "erased" => Outcome::Erased,
        "spans" => Outcome::Spans,
        "in use" => Outcome::InUse,
        "stopped" => Outcome::Stopped,
        other => return Err(format!("`{other}` is no outcome")),
    };
    let (says, undo) = (field("says").map(str::to_owned), field("undo").map(str::to_owned));
    if outcome != Outcome::Erased && says.is_none() {
        return Err("it does not say what the refusal names".to_owned());
    }
    Ok(Layout { name: name.to_owned(), chosen: number(chosen)?, kept: number(kept)?, outcome, says, undo })
}

/// Packs layouts into rounds of at most so many chosen disks, in their order.
pub fn rounds(layouts: Vec<Layout>, chosen: usize) -> Vec<Vec<Layout>> {
    let mut rounds: Vec<Vec<Layout>> = Vec::new();
    for layout in layouts {
        let taken = rounds.last().map_or(chosen, |round| round.iter().map(|l| l.chosen).sum());
        if taken + layout.chosen > chosen {
            rounds.push(Vec::new());
        }
        if let Some(round) = rounds.last_mut() {
            round.push(layout);
        }
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_and_what_is_missing_is_named() {
        let text = "# What it is.\n# disks: 1 + 2\n# outcome: stopped\n# says: a word: two\n# undo: true\nfalse\n";
        let layout = parse("x", text).unwrap();
        assert_eq!((layout.chosen, layout.kept, layout.outcome), (1, 2, Outcome::Stopped));
        assert_eq!((layout.says.as_deref(), layout.undo.as_deref()), (Some("a word: two"), Some("true")));
        assert_eq!(parse("x", &text.replace("outcome", "ends")).unwrap_err(), "it does not say what becomes of it");
        assert!(parse("x", &text.replace("stopped", "burnt")).unwrap_err().contains("burnt"));
        assert!(parse("x", &text.replace("says", "words")).unwrap_err().contains("refusal"));
    }

    #[test]
    fn every_layout_has_its_header_and_is_short() {
        let all = all().unwrap();
        assert!(all.len() >= 30, "{}", all.len());
        for layout in all {
            let text = std::fs::read_to_string(folder().join(format!("{}.sh", layout.name))).unwrap();
            assert!(text.lines().count() < 20, "{}", layout.name);
            assert!(layout.chosen <= 2 && layout.kept <= 1, "{}", layout.name);
        }
    }

    #[test]
    fn rounds_hold_as_many_disks_as_there_are() {
        let layout = |chosen| parse("x", &format!("# disks: {chosen}\n# outcome: erased\n")).unwrap();
        let rounds = rounds([2, 2, 1, 2, 2].map(layout).to_vec(), 4);
        let disks: Vec<Vec<usize>> = rounds.iter().map(|round| round.iter().map(|l| l.chosen).collect()).collect();
        assert_eq!(disks, [vec![2, 2], vec![1, 2], vec![2]]);
    }
}
