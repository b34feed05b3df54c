//! Site files that are wrong, as files, with the exact text a person gets; and files that must never panic the reader.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sovereign_model::site::{
    self,
    parse::{parse, parse_bytes},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

const EXAMPLES: [&str; 4] = ["reference", "no-hdd", "laboratory", "single-disk"];

#[test]
fn each_wrong_file_gets_its_errors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/site");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    cases.sort();
    assert!(cases.len() > 20);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("site");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for case in cases {
            let name = case.file_stem().unwrap().to_str().unwrap().to_owned();
            match parse_bytes(&fs::read(&case).unwrap(), "site.toml") {
                Ok(_) => panic!("{name} was accepted"),
                Err(errors) => insta::assert_snapshot!(name, errors.to_string()),
            }
        }
    });
}

#[test]
fn the_examples_are_right_and_survive_being_written_back() {
    for name in EXAMPLES {
        let text = read(root().join(format!("docs/sites/{name}.toml")));
        let site = parse(&text, name).unwrap_or_else(|errors| panic!("{errors}"));
        let written = site.to_toml().unwrap();
        let mut expected = site.clone();
        expected.admin.root_password_hash = None;
        assert_eq!(parse(&written, name).unwrap_or_else(|errors| panic!("{written}\n{errors}")), expected);
        assert!(!written.contains("$y$"));
    }
}

#[test]
fn the_password_hash_is_read_and_never_serialised() {
    let site = parse(&read(root().join("docs/sites/reference.toml")), "reference").unwrap();
    assert!(site.admin.root_password_hash.as_ref().is_some_and(|hash| hash.starts_with("$y$")));
    assert!(!serde_json::to_string(&site).unwrap().contains("$y$"));
}

#[test]
fn the_schema_in_the_documentation_is_fresh() {
    let path = root().join("docs/site.schema.json");
    let fresh = site::schema() + "\n";
    if std::env::var_os("SOVEREIGN_UPDATE").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    assert!(read(&path) == fresh, "{} is stale: run the tests once with SOVEREIGN_UPDATE=1", path.display());
}

#[test]
fn a_secret_is_not_shown_wherever_the_file_breaks() {
    let text = read(root().join("docs/sites/reference.toml"));
    let secret = "X3DX6M94c7o";
    assert!(text.contains(secret));
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        if let Err(errors) = parse(&text[..end], "site.toml") {
            let shown = errors.to_string();
            assert!(!shown.contains("j9T") && !shown.contains(secret), "cut at {end}:\n{shown}");
        }
    }
}

#[test]
fn errors_stand_in_the_order_of_the_file_and_point_into_it() {
    let text = read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/site/wrong-values.toml"));
    let errors = parse(&text, "site.toml").unwrap_err();
    let places: Vec<_> = errors.errors().iter().map(|error| (error.line, error.column)).collect();
    assert!(places.is_sorted() && places.len() > 10, "{places:?}");
    for (line, column) in places {
        assert!(column <= text.lines().nth(line - 1).unwrap().chars().count());
    }
}

/// Each on a line of its own, and all on one.
#[test]
fn very_many_errors_are_counted_and_the_first_ones_worked_out() {
    let table = |separator: &str| (0..5_000).map(|n| format!("k{n} = 1{separator}")).collect::<String>();
    for text in [table("\n"), format!("site = {{ {} z = 1 }}", table(", "))] {
        let errors = parse(&text, "site.toml").unwrap_err();
        assert_eq!(errors.errors().len(), 100);
        let shown = errors.to_string();
        assert!(shown.contains(" errors in site.toml, of which 25 are shown"), "{shown}");
    }
    let shown = parse(&table("\n"), "site.toml").unwrap_err().to_string();
    // The five required sections are missing too.
    assert!(shown.ends_with("5005 errors in site.toml, of which 25 are shown"), "{shown}");
    assert!(shown.starts_with("site.toml:1:1: unknown key `k0` at the top level"), "{shown}");
}

fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[\\[\\]{}=\"'.,#$\n\u{0}\u{e9}a0-]{0,4}");
    (prop::sample::select(EXAMPLES.to_vec()), prop::collection::vec(edit, 1..4)).prop_map(|(name, edits)| {
        let mut chars: Vec<char> = read(root().join(format!("docs/sites/{name}.toml"))).chars().collect();
        for (at, length, text) in edits {
            let at = at.index(chars.len());
            let end = (at + length.index(12)).min(chars.len());
            chars.splice(at..end, text.chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn no_mutated_file_panics_and_every_error_has_a_place(text in mutated()) {
        if let Err(errors) = parse(&text, "site.toml") {
            prop_assert!(!errors.errors().is_empty());
            let lines = text.split('\n').count();
            for error in errors.errors() {
                prop_assert!((1..=lines).contains(&error.line) && error.column >= 1);
                prop_assert!(!error.message.is_empty() && !error.hint.is_empty());
            }
            let shown = errors.to_string();
            prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{:?}", shown);
        }
    }

    #[test]
    fn what_is_accepted_is_what_serde_reads(text in mutated()) {
        if let Ok(site) = parse(&text, "site.toml") {
            prop_assert_eq!(toml::from_str::<site::Site>(&text).unwrap(), site);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(prop::sample::select(b"[a]=\"\r\n\xe4\xff# $y$".to_vec()), 0..40)) {
        let _ = parse_bytes(&bytes, "site.toml").map_err(|errors| errors.to_string());
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,80}|[\\[\\]a-z.=\"\n]{0,60}") {
        let _ = parse(&text, "site.toml").map_err(|errors| errors.to_string());
    }
}
