#[test]
fn regen() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let inventory = sovereign_system::probe::load_inventory(&path).unwrap();
            std::fs::write(path.join("inventory.json"), serde_json::to_string_pretty(&inventory).unwrap()).unwrap();
        }
    }
}
