//! The software bill of materials: CycloneDX 1.6 JSON, one component a package or a workload's image.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::edition::Edition;
use crate::epoch;
use crate::guest::Role;
use crate::lock::{Lock, Package};
use crate::workload::Locked;

/// Property of a component: a layer of the medium it is in; one each.
const LAYER: &str = "sovereign:layer";

/// The document as text.
pub fn render(
    edition: &Edition,
    roles: &[Role],
    lock: &Lock,
    version: &str,
    build_id: &str,
    epoch: u64,
) -> Result<String, serde_json::Error> {
    let mut layers: BTreeMap<&Package, Vec<String>> = BTreeMap::new();
    for (layer, packages) in lock.layers() {
        for package in packages {
            layers.entry(package).or_default().push(layer.clone());
        }
    }
    let components: Vec<Value> =
        layers.iter().map(|(package, layers)| component(package, layers, edition, roles)).collect();
    let components: Vec<Value> = components.into_iter().chain(lock.workloads.iter().map(image)).collect();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{build_id}"),
        "version": 1,
        "metadata": {
            "timestamp": epoch::iso8601(epoch),
            "component": {
                "type": "operating-system",
                "bom-ref": "medium",
                "name": format!("{} ({})", edition.product, edition.label),
                "version": version,
            },
        },
        "components": components,
    });
    serde_json::to_string_pretty(&document)
}

fn component(package: &Package, layers: &[String], edition: &Edition, roles: &[Role]) -> Value {
    let purl =
        format!("pkg:deb/debian/{}@{}?arch={}", escape(&package.name), escape(&package.version), package.architecture);
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "hashes": [{ "alg": "SHA-256", "content": package.sha256 }],
        "properties": layers.iter().map(|layer| json!({ "name": LAYER, "value": layer })).collect::<Vec<_>>(),
    });
    // Of what several ask for, the first reason; of a package in guests alone, theirs.
    let host = layers.iter().any(|layer| layer == "host").then_some(&edition.packages);
    let guests = edition.guests.iter().map(|guests| &guests.packages).chain(roles.iter().map(|role| &role.packages));
    if let Some(reason) = host.into_iter().chain(guests).find_map(|packages| packages.get(&package.name)) {
        component["description"] = json!(reason);
    }
    component
}

/// A workload's image: the whole of it, since what is inside is its maker's to tell.
fn image(locked: &Locked) -> Value {
    let (repository, tag, digest) = (locked.image.repository(), locked.image.tag(), &locked.digest);
    let name = repository.rsplit('/').next().unwrap_or(repository);
    // Package URL type `oci`: the version is the digest; the tag says what was asked for.
    let purl = format!(
        "pkg:oci/{}@{}?arch=amd64&repository_url={}&tag={}",
        escape(name),
        escape(&digest.to_string()),
        escape(repository),
        escape(tag)
    );
    json!({
        "type": "container",
        // Two workloads may be made from one image.
        "bom-ref": format!("{purl}#{}", locked.folder()),
        "name": repository,
        "version": tag,
        "purl": purl,
        "hashes": [{ "alg": "SHA-256", "content": digest.hex() }],
        "description": format!("the workload {} of the guest {}", locked.name, locked.role),
        "properties": [{ "name": LAYER, "value": "workloads" }],
    })
}

/// Percent-encodes what the package URL specification does not allow in a name or version.
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b".-_~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::GuestPackages;
    use std::path::Path;

    #[test]
    fn every_package_is_there_with_version_hash_and_purl() {
        let edition = crate::fixture::rehearsal();
        let package = Package {
            name: "libstdc++6".to_owned(),
            version: "1:14.2.0-19".to_owned(),
            architecture: "amd64".to_owned(),
            archive: "debian".to_owned(),
            path: "pool/x.deb".to_owned(),
            size: 1,
            sha256: "ab".repeat(32),
        };
        let other = Package { name: "qemu-guest-agent".to_owned(), sha256: "cd".repeat(32), ..package.clone() };
        let guests = GuestPackages { base: vec![other, package.clone()], roles: BTreeMap::new() };
        let lock = Lock::new("rehearsal", "trixie", 0, vec![package]).with_guests(guests);
        let text = render(&edition, &[], &lock, "1.0.0", "11111111-2222-8333-8444-555555555555", 0).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["components"][0]["purl"], "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2.0-19?arch=amd64");
        assert_eq!(value["components"][0]["hashes"][0]["content"], "ab".repeat(32));
        // A package of host and guests is one component.
        let layers = |component: &Value| {
            let properties = component["properties"].as_array().unwrap().iter();
            properties.map(|property| property["value"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let components = value["components"].as_array().unwrap();
        assert_eq!(components.iter().map(layers).collect::<Vec<_>>(), [vec!["host", "guest"], vec!["guest"]]);
        assert!(components[1]["description"].as_str().unwrap().contains("tells the node addresses"));
        assert_eq!(value["metadata"]["timestamp"], "1970-01-01T00:00:00Z");

        let workloads = format!(
            "[[workloads]]\nrole = \"edge\"\nname = \"traefik\"\nimage = \"docker.io/library/traefik:v3\"\n\
             digest = \"sha256:{}\"\nsize = 1\n",
            "ef".repeat(32)
        );
        let lock = Lock::parse(&format!("{}{workloads}", lock.render().unwrap()), Path::new("l")).unwrap();
        let text = render(&edition, &[], &lock, "1.0.0", "11111111-2222-8333-8444-555555555555", 0).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let image = &value["components"][2];
        let purl = format!(
            "pkg:oci/traefik@sha256%3A{}?arch=amd64&repository_url=docker.io%2Flibrary%2Ftraefik&tag=v3",
            "ef".repeat(32)
        );
        assert_eq!((image["type"].as_str(), image["purl"].as_str()), (Some("container"), Some(purl.as_str())));
        assert_eq!(image["description"], "the workload traefik of the guest edge");
    }
}
