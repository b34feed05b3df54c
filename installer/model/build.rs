//! Compiles the roles in: `overlays/guest/*/role.toml` and the workloads and natives beside them, with their templates, become a list of
//! paths and texts, so that the model does no I/O.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let guests = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../overlays/guest").canonicalize()?;
    println!("cargo::rerun-if-changed={}", guests.display());
    let mut files = Vec::new();
    for role in folders(&guests)? {
        files.extend(Some(role.join("role.toml")).filter(|file| file.is_file()));
        for kind in ["workloads", "natives"] {
            walk(&role.join(kind), &mut files)?;
        }
    }
    files.sort();
    let mut code = String::from("/// Path and text of each file.\npub(super) const SHIPPED: &[(&str, &str)] = &[\n");
    for file in files {
        let path = file.to_str().ok_or("the path of this work tree or of a role's file is not UTF-8")?;
        let name = file.strip_prefix(&guests)?.display();
        writeln!(code, "    ({:?}, include_str!({path:?})),", format!("overlays/guest/{name}"))?;
    }
    code.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("roles.rs"), code)?;
    Ok(())
}

/// Adds every file below `folder`.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { walk(&path, files)? } else { files.push(path) }
        }
    }
    Ok(())
}

/// The folders in `folder`; none if it is not there.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}
