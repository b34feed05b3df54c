//! Compiles the roles in: `overlays/guest/*/role.toml` become a list of paths and texts, so that the model does no I/O.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let guests = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../overlays/guest").canonicalize()?;
    println!("cargo::rerun-if-changed={}", guests.display());
    let mut files: Vec<(String, String)> = Vec::new();
    for entry in fs::read_dir(&guests)? {
        let entry = entry?;
        let file = entry.path().join("role.toml");
        if file.is_file() {
            let name = entry.file_name().into_string().map_err(|_| "the name of a role's folder is not UTF-8")?;
            files.push((name, file.to_str().ok_or("the path of this work tree is not UTF-8")?.to_owned()));
        }
    }
    files.sort();
    let mut code =
        String::from("/// Path and text of each role file.\npub(super) const SHIPPED: &[(&str, &str)] = &[\n");
    for (name, file) in files {
        writeln!(code, "    ({:?}, include_str!({:?})),", format!("overlays/guest/{name}/role.toml"), file)?;
    }
    code.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("roles.rs"), code)?;
    Ok(())
}
