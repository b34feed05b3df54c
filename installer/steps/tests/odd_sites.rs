//! Whatever a site file says: either `check` refuses it, or everything that `configure` makes of it alone can be made. Between the two the
//! disks are erased.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use sovereign_model::plan::make;
use sovereign_model::site::parse::parse;
use sovereign_steps::configure::compute;

/// What of the reference machine's site file is replaced.
const EMAIL: &str = "email = \"admin@example.org\"";
const FQDN: &str = "fqdn = \"host.reference.example.org\"";
const ADDRESS: &str = "address = \"192.0.2.10/24\"";
const GATEWAY: &str = "gateway = \"192.0.2.1\"";

/// The file's errors, or what `configure` makes of it.
fn judged(changes: &[(&str, String)]) -> Result<Result<(), String>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/plans/reference");
    let read = |file| fs::read_to_string(folder.join(file)).unwrap();
    // Without guests, whose addresses are near those of the host.
    let (text, _) = read("site.toml").split_once("[guests]").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let mut text: String =
        text.lines().filter(|l| !l.starts_with("internal_address")).map(|l| format!("{l}\n")).collect();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replacen(old, new, 1);
    }
    let site = parse(&text, "site.toml").map_err(|errors| errors.to_string())?;
    let plan = make(&site, &serde_json::from_str(&read("inventory.json")).unwrap()).unwrap();
    Ok([Some("10.1.2"), None].into_iter().try_for_each(|qemu| compute(&plan, qemu)).map_err(|error| error.render()))
}

#[test]
fn odd_values_that_no_node_can_have_are_refused_with_their_place() {
    for (old, new) in [
        (FQDN, "fqdn = \"localhost.example.org\""),
        (FQDN, "fqdn = \"localhost.localdomain\""),
        (FQDN, "fqdn = \"10.example.org\""),
        (FQDN, "fqdn = \"0x7f.example.org\""),
        (ADDRESS, "address = \"169.254.1.1/16\""),
        (ADDRESS, "address = \"255.255.255.255/32\""),
        (ADDRESS, "address = \"0.0.0.0/32\""),
        (ADDRESS, "address = \"224.0.0.1/24\""),
        (ADDRESS, "address = \"fe80::10/64\""),
        (ADDRESS, "address = \"::ffff:127.0.0.1/128\""),
        (ADDRESS, "address = \"192.0.2.10/24\"\ninternal_address = \"169.254.7.1/24\""),
        (ADDRESS, "address = \"192.0.2.10/24\"\ninternal_address = \"fe80::1/64\""),
        (GATEWAY, "gateway = \"192.0.2.0\""),
        (GATEWAY, "gateway = \"192.0.2.255\""),
        (EMAIL, "email = \"|sh@example.org\""),
        (EMAIL, "email = \"/root/mail@example.org\""),
        (EMAIL, "email = \"~/mail@example.org\""),
        (EMAIL, "email = \"\\\"|sh\\\"@example.org\""),
        (EMAIL, "email = \"a:b@example.org\""),
        (EMAIL, "email = \"a b@example.org\""),
    ] {
        let errors = judged(&[(old, new.to_owned())]).expect_err(new);
        assert!(errors.starts_with("site.toml:") && errors.ends_with("1 error in site.toml"), "{errors}");
    }
}

#[test]
fn odd_values_that_a_node_can_have_become_its_configuration() {
    for (old, new) in [
        (FQDN, "fqdn = \"localhost1.example.org\""),
        (FQDN, "fqdn = \"xn--bcher-kva.example\""),
        (ADDRESS, "address = \"192.0.2.10/24\"\ninternal_address = \"10.0.0.1/31\""),
        (EMAIL, "email = \"root@localhost\""),
        (EMAIL, "email = \"o'neill!#$%*?^`{|}~/x@EXAMPLE.org\""),
        (EMAIL, "email = \"#1@example.org\""),
        (EMAIL, "email = \".a..b.@1.2\""),
    ] {
        assert_eq!(judged(&[(old, new.to_owned())]), Ok(Ok(())), "{new}");
    }
}

/// Addresses of every kind, near the edges of their networks too.
fn address() -> impl Strategy<Value = String> {
    let v4 = prop_oneof![
        any::<[u8; 4]>(),
        prop::sample::select(vec![
            [169, 254, 3, 1],
            [127, 0, 0, 1],
            [0, 0, 0, 0],
            [255; 4],
            [192, 0, 2, 255],
            [240, 0, 0, 1]
        ]),
    ];
    let v6 = prop::sample::select(vec!["fe80::1", "::1", "::", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1", "fd00::"]);
    prop_oneof![v4.prop_map(|v4| std::net::Ipv4Addr::from(v4).to_string()), v6.prop_map(str::to_owned)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_name_or_mail_address_passes_the_check_and_fails_later(
        fqdn in "(localhost|[0-9]{1,4}|0x[0-9a-f]{1,4}|[a-z0-9-]{1,8})(\\.[a-z0-9-]{1,6}){1,3}",
        email in "[|/\"a-z0-9.!#$%&'*+=?^_`{}~-]{1,12}@[A-Za-z0-9.-]{1,12}",
    ) {
        let email = toml::Value::String(email);
        let judged = judged(&[(FQDN, format!("fqdn = \"{fqdn}\"")), (EMAIL, format!("email = {email}"))]);
        prop_assert!(judged.is_err() || judged == Ok(Ok(())), "{judged:?}");
    }

    #[test]
    fn no_network_passes_the_check_and_fails_later(
        address in address(), prefix in 0u8..=128, gateway in address(), internal in address(), other in 0u8..=128,
    ) {
        let address = format!("address = \"{address}/{prefix}\"\ninternal_address = \"{internal}/{other}\"");
        let judged = judged(&[(ADDRESS, address), (GATEWAY, format!("gateway = \"{gateway}\""))]);
        prop_assert!(judged.is_err() || judged == Ok(Ok(())), "{judged:?}");
    }

    #[test]
    fn no_address_in_a_small_network_passes_the_check_and_fails_later(host: u8, gateway: u8, prefix in 24u8..=32) {
        let address = format!("address = \"192.0.2.{host}/{prefix}\"");
        let judged = judged(&[(ADDRESS, address), (GATEWAY, format!("gateway = \"192.0.2.{gateway}\""))]);
        prop_assert!(judged.is_err() || judged == Ok(Ok(())), "{judged:?}");
    }
}
