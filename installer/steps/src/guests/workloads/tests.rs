//! Tests of what is written to guests. What templates make of a site is tested in the model.

use std::os::unix::fs::MetadataExt;

use sovereign_model::Bytes;
use sovereign_model::medium;

use super::*;
use crate::testing::context;

/// Every workload, as a medium has it.
fn all() -> Vec<MediumWorkload> {
    let each = Catalogue::shipped().unwrap().workloads().iter().map(|workload| MediumWorkload {
        role: workload.role.to_string(),
        name: workload.name.to_string(),
        image: workload.image.to_string(),
        digest: format!("sha256:{}", "0".repeat(64)),
    });
    each.collect()
}

/// The reference machine with a medium that has `workloads`.
fn prepared(target: &Path, workloads: Vec<MediumWorkload>) -> Context {
    let (mut context, _) = context("reference", target);
    context.started = 1_795_000_000;
    let unpacked = Bytes(1);
    context.manifest.guests = Some(medium::Guests { kernel: "6".to_owned(), unpacked, roles: Vec::new(), workloads });
    context
}

/// The files of a guest; its packages have brought the users that they are given to.
fn files_of(context: &Context, role: &str) -> Vec<Made> {
    let guests = context.guests().unwrap();
    let guest = guests.guests.iter().find(|guest| guest.role.as_str() == role).unwrap();
    let folder = context.target.join(role);
    files::write(
        &folder.join("etc/passwd"),
        b"root:x:0:0::/root:/bin/sh\nredis:x:101:103::/:/x\npostgres:x:102:104::/:/x\n",
        PUBLIC,
    )
    .unwrap();
    let present: Vec<_> = on_medium(context).filter(|workload| workload.role == role).collect();
    made(context, guest, &folder, &present).unwrap_or_else(|error| panic!("{}", error.render()))
}

fn text<'m>(made: &'m [Made], path: &str) -> &'m str {
    let file = made.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}"));
    std::str::from_utf8(&file.content).unwrap()
}

#[test]
fn secrets_are_the_same_on_both_sides_and_in_private_files_alone() {
    let target = tempfile::tempdir().unwrap();
    let context = prepared(target.path(), all());
    let made: Vec<Made> = ["edge", "core", "storage"].iter().flat_map(|role| files_of(&context, role)).collect();
    let mut secrets = Vec::new();
    for workload in Catalogue::shipped().unwrap().workloads() {
        for name in workload.secrets.keys() {
            let path = format!("{}/{}/{}/{name}", secrets::FOLDER, workload.role, workload.name);
            assert_eq!(files::mode(&context.on_target(&path)).unwrap(), PRIVATE, "{path}");
            secrets.push((path.clone(), files::read(&context.on_target(&path)).unwrap()));
        }
    }
    assert!(secrets.len() >= 11, "{}", secrets.len());
    for (secret, value) in &secrets {
        let holders: Vec<&Made> = made
            .iter()
            .filter(|file| std::str::from_utf8(&file.content).is_ok_and(|text| text.contains(value.as_str())))
            .collect();
        // The redis password is elsewhere as its hash.
        let both = secret.ends_with("/database");
        assert_eq!(holders.len(), if both { 2 } else { 1 }, "{secret}");
        assert!(holders.iter().all(|file| file.mode & 0o700 == file.mode), "{secret}");
    }
    let redis = secrets.iter().find(|(path, _)| path.ends_with("/redis")).unwrap();
    let sum: String = Sha256::digest(&redis.1).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text(&made, "etc/redis/sovereign.acl"), format!("user default on #{sum} ~* &* +@all\n"));
}

#[test]
fn a_step_that_runs_again_writes_the_same_secrets_and_keeps_the_authority() {
    let target = tempfile::tempdir().unwrap();
    let context = prepared(target.path(), all());
    let first = files_of(&context, "core");
    let again = files_of(&context, "core");
    for path in ["etc/matrix/homeserver.yaml", "etc/matrix/signing.key", "etc/livekit/livekit.yaml", AUTHORITY_PATH] {
        assert_eq!(text(&first, path), text(&again, path), "{path}");
    }
}

#[test]
fn certificates_are_signed_by_an_authority_whose_key_stays_on_the_host() {
    let target = tempfile::tempdir().unwrap();
    let context = prepared(target.path(), all());
    let (edge, core) = (files_of(&context, "edge"), files_of(&context, "core"));
    let key = context.on_target(&format!("{}/ca.key", authority::FOLDER));
    assert_eq!(files::mode(&key).unwrap(), PRIVATE);
    let key = files::read(&key).unwrap();
    for made in [&edge, &core] {
        assert!(made.iter().all(|file| !std::str::from_utf8(&file.content).unwrap().contains(&key)));
        assert!(text(made, AUTHORITY_PATH).starts_with("-----BEGIN CERTIFICATE-----"));
    }
    let mode = |made: &[Made], path: &str| made.iter().find(|file| file.path == path).unwrap().mode;
    assert_eq!(mode(&edge, "etc/traefik/internal.key"), PRIVATE);
    assert_eq!(mode(&core, "etc/stalwart/tls.key"), PRIVATE);
    assert_eq!(text(&edge, AUTHORITY_PATH), text(&core, AUTHORITY_PATH));
    // OpenSSL judges them where the machine that tests has it; every development machine does.
    for (made, certificate, host) in [
        (&edge, "etc/traefik/internal.pem", "matrix.reference.example.org"),
        (&edge, "etc/traefik/internal.pem", "reference.example.org"),
        (&core, "etc/stalwart/tls.pem", "mail.reference.example.org"),
    ] {
        let (authority, leaf) = (target.path().join("ca.pem"), target.path().join("leaf.pem"));
        fs::write(&authority, text(made, AUTHORITY_PATH)).unwrap();
        fs::write(&leaf, text(made, certificate)).unwrap();
        let verify = |host: &str| {
            std::process::Command::new("openssl")
                .args(["verify", "-x509_strict", "-attime", "1795000000", "-verify_hostname", host, "-CAfile"])
                .args([&authority, &leaf])
                .output()
        };
        match verify(host) {
            Ok(output) => {
                assert!(output.status.success(), "{host}: {}", String::from_utf8_lossy(&output.stderr));
                assert!(!verify("elsewhere.example.org").unwrap().status.success());
            }
            Err(error) => eprintln!("skipped: openssl cannot be started here ({error})"),
        }
    }
}

#[test]
fn what_is_not_on_the_medium_is_not_configured() {
    let target = tempfile::tempdir().unwrap();
    let nothing = prepared(target.path(), Vec::new());
    for role in ["edge", "core", "storage"] {
        assert!(files_of(&nothing, role).is_empty(), "{role}");
    }
    assert!(!nothing.on_target(secrets::FOLDER).exists() && !nothing.on_target(authority::FOLDER).exists());
    // The homeserver alone: storage has its database, edge its way.
    let only = all().into_iter().filter(|workload| ["matrix", "traefik"].contains(&workload.name.as_str())).collect();
    let context = prepared(target.path(), only);
    let storage = files_of(&context, "storage");
    assert!(text(&storage, "etc/sovereign/postgresql/databases.sql").contains("matrix"));
    assert!(storage.iter().all(|file| !file.path.contains("nextcloud") && !file.path.contains("redis")));
    let routes = files_of(&context, "edge");
    let routes = text(&routes, "etc/traefik/dynamic/services.yml");
    assert!(routes.contains("matrix") && !routes.contains("passwords"), "{routes}");
}

#[test]
fn templates_of_a_site_without_addresses_are_not_configured_and_the_log_says_so() {
    let target = tempfile::tempdir().unwrap();
    let mut context = prepared(target.path(), all());
    assert_eq!(check(&context).unwrap(), None);
    for guest in &mut context.plan.guests.as_mut().unwrap().guests {
        for interface in &mut guest.interfaces {
            interface.address = Addressing::None;
        }
    }
    assert!(check(&context).unwrap().unwrap().contains("internal_address"));
    assert!(files_of(&context, "core").is_empty());
    context.manifest.guests.as_mut().unwrap().workloads.clear();
    assert_eq!(check(&context).unwrap(), None);
}

#[test]
fn what_a_template_needs_and_nobody_knows_is_an_error_before_anything_is_written() {
    let target = tempfile::tempdir().unwrap();
    let mut context = prepared(target.path(), all());
    for guest in &mut context.plan.guests.as_mut().unwrap().guests {
        guest.interfaces.clear();
    }
    let error = check(&context).unwrap_err().render();
    assert!(error.contains("cannot be configured") && error.contains("No disk was changed"), "{error}");
}

#[test]
fn a_file_is_written_with_its_mode_and_its_owner() {
    let target = tempfile::tempdir().unwrap();
    let context = prepared(target.path(), all());
    let folder = target.path().join("edge");
    let guests = context.guests().unwrap();
    let edge = guests.guests.iter().find(|guest| guest.role.as_str() == "edge").unwrap();
    let present: Vec<_> = on_medium(&context).collect();
    // Everything of edge is root's; who is not root cannot give files away.
    let is_root = fs::metadata(target.path()).unwrap().uid() == 0;
    match configure(&context, edge, &folder, &present) {
        Ok(()) => assert!(is_root),
        Err(error) => {
            assert!(!is_root, "{}", error.render());
            return;
        }
    }
    let key = fs::symlink_metadata(folder.join("etc/traefik/internal.key")).unwrap();
    assert_eq!((key.mode() & 0o7777, key.uid(), key.gid()), (0o600, 0, 0));
    assert!(folder.join("etc/containers/systemd/traefik.container").exists());
    assert!(owner(&folder, &Owner::Name("nobody-here".to_owned())).is_err());
}
