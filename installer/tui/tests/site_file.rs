//! A site file answers beforehand what it can: the person is asked the rest, and everything that speaks against a plan is shown.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod technician;

use std::fs;
use std::path::Path;

use sovereign_tui::{Cmd, Medium, Msg, Theme};
use technician::{REFERENCE, REFERENCE_SITE, Technician, inventory};

/// What is on the upper line at the right.
fn title(technician: &Technician) -> String {
    let screen = technician.screen();
    let bar = screen.lines().next().unwrap();
    bar.rsplit("   ").find(|part| !part.trim().is_empty()).unwrap().trim().to_owned()
}

#[test]
fn a_complete_file_leads_straight_to_the_summary() {
    let mut technician = Technician::on_serial(Some(REFERENCE_SITE));
    insta::assert_snapshot!("complete", technician.screen());
    technician.types("nn");
    assert_eq!(title(&technician), "Summary  8/8");
    // Every screen can be visited all the same, and leads back.
    for (key, place) in [
        ("1", "Hardware  2/8"),
        ("2", "Disks  3/8"),
        ("3", "Capacity  4/8"),
        ("4", "Encryption  5/8"),
        ("5", "Network  6/8"),
        ("6", "Site and admin  7/8"),
    ] {
        technician.types("e").types(key);
        assert_eq!(title(&technician), place);
        technician.types("<esc>");
        assert_eq!(title(&technician), "Summary  8/8", "back from {place}");
    }
    technician.types("i0001<enter><tab><enter>");
    let Some(Cmd::Install(install)) = technician.cmds.last() else { panic!("nothing is installed") };
    assert!(install.passphrase.is_none(), "it is in the file on the medium");
    assert!(install.site.admin.root_password_hash.is_some());
}

#[test]
fn the_disks_of_a_file_are_those_that_its_match_chooses() {
    let mut technician = Technician::on_serial(Some(REFERENCE_SITE));
    technician.types("nne2");
    insta::assert_snapshot!("disks-by-match", technician.screen());
    technician.types("o");
    insta::assert_snapshot!("disks-one-too-few", technician.screen());
    technician.types("n");
    assert!(technician.screen().contains("these disks make no plan"));
    technician.types("jjjjjjs");
    assert!(technician.screen().contains("sdz cannot be chosen: carries the installer"), "{}", technician.screen());
    technician.types("kkkkkksn");
    assert_eq!(title(&technician), "Summary  8/8");
}

#[test]
fn a_passphrase_can_be_typed_where_the_file_names_another_file_for_it_and_back() {
    let mut technician = Technician::on_serial(Some(REFERENCE_SITE));
    technician.types("nne4");
    insta::assert_snapshot!("encryption-from-a-file", technician.screen());
    technician.types("h<tab><tab><tab><tab>correct horse battery<tab>correct horse battery<tab>n");
    assert_eq!(title(&technician), "Summary  8/8", "{}", technician.screen());
    technician.types("i0001<enter><tab><enter>");
    let Some(Cmd::Install(install)) = technician.cmds.last() else { panic!("nothing is installed") };
    assert!(install.passphrase.is_some() && install.site.encryption.file.is_none());
    let mut technician = Technician::on_serial(Some(REFERENCE_SITE));
    technician.types("nne4hln");
    assert_eq!(title(&technician), "Summary  8/8", "{}", technician.screen());
    technician.types("i0001<enter><tab><enter>");
    let Some(Cmd::Install(install)) = technician.cmds.last() else { panic!("nothing is installed") };
    assert_eq!(install.site.encryption.file.as_deref(), Some("passphrase.txt"));
}

#[test]
fn of_a_file_that_says_next_to_nothing_everything_else_is_asked() {
    let mut technician = Technician::on_serial(Some("[site]\nname = \"berlin-1\"\n"));
    technician.types("nn");
    assert_eq!(title(&technician), "Disks  3/8");
    technician.types("n");
    assert_eq!(title(&technician), "Encryption  5/8", "what a machine gets need not be said");
    technician.types("<tab><tab><tab>correct horse battery<tab>correct horse battery<tab>n");
    technician.types("<tab><tab>192.0.2.10/24<tab><tab><tab>n");
    assert_eq!(title(&technician), "Site and admin  7/8", "{}", technician.screen());
    technician.types("<tab>host.example.org<tab><tab>root@localhost<tab><tab><tab><enter>");
    assert_eq!(title(&technician), "Summary  8/8", "{}", technician.screen());
    assert!(technician.screen().contains("disks will be erased"));
}

#[test]
fn sections_that_are_no_sections_are_asked_for_anew() {
    let text = "site = 3\nstorage = \"all\"\nguests = true\n[network]\nmode = 1\n[cluster]\nmode = \"create\"\n";
    let mut technician = Technician::on_serial(Some(text));
    technician.types("nnn");
    assert_eq!(title(&technician), "Disks  3/8", "{}", technician.screen());
    technician.types("n<tab><tab><tab>correct horse battery<tab>correct horse battery<tab>n");
    technician.types("<tab><tab>192.0.2.10/24<tab><tab><tab>n");
    technician.types("berlin-1<tab>host.example.org<tab><tab>root@localhost<tab><tab><tab><enter>");
    // What only a file can say is named.
    insta::assert_snapshot!("missing-what-only-a-file-says", technician.screen());
    technician.types("i");
    assert!(technician.screen().contains("there is no plan to agree to"));
}

const INCOMPLETE: &str = "\
[site]\nname = \"berlin-1\"\nfqdn = \"host.example.org\"\n[admin]\nemail = \"admin@example.org\"\n\
[network]\nmode = \"static\"\naddress = \"192.0.2.10\"\n\
[storage.ssd]\nraid = \"raid1\"\nmatch = { rotational = false }\n[storage.hdd]\nraid = \"raid10\"\nmatch = { rotational = true }\n\
[encryption]\npassphrase = \"prompt\"\n[finish]\nactoin = \"reboot\"\n[console]\nbaud = 1234\n";

#[test]
fn of_an_incomplete_file_only_the_rest_is_asked() {
    let mut technician = Technician::at(80, 24, Theme::FULL, Some(INCOMPLETE)).sees(REFERENCE);
    insta::assert_snapshot!("incomplete", technician.coloured_screen());
    technician.types("n");
    assert!(technician.screen().contains("what is left out takes its default"), "{}", technician.screen());
    technician.types("nn");
    assert_eq!(title(&technician), "Encryption  5/8");
    technician.types("<tab><tab><tab>correct horse battery<tab>correct horse battery<tab>n");
    assert_eq!(title(&technician), "Network  6/8");
    technician.types("n");
    insta::assert_snapshot!("incomplete-network", technician.screen());
    technician.types("/24<tab><tab><tab>n");
    assert_eq!(title(&technician), "Summary  8/8");
}

/// Machines and sites that make no plan; what is shown of each is where a person can do something about it.
const REFUSED: [&str; 20] = [
    "ambiguous",
    "bios-4kn",
    "both-pools",
    "duplicate-serials",
    "far-too-small",
    "firmware-raid",
    "metadata-too-large",
    "mixed-sectors",
    "nic-absent",
    "nic-ambiguous",
    "no-disks",
    "odd-sectors",
    "root-beyond-64-bits",
    "spanning-array",
    "spinning-ssd-pool",
    "too-few",
    "too-small",
    "unfit-disks",
    "unread-disk",
    "unread-other",
];

#[test]
fn every_refusal_is_shown_where_something_can_be_done_about_it() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/plans");
    for case in REFUSED {
        let read = |name: &str| fs::read_to_string(cases.join(case).join(name)).unwrap();
        let mut technician =
            Technician::at(80, 24, Theme::PLAIN, Some(&read("site.toml"))).sees(&read("inventory.json"));
        technician.types("nn");
        if title(&technician) == "Encryption  5/8" {
            technician.types("<tab><tab><tab>correct horse battery<tab>correct horse battery<tab>n");
        }
        insta::assert_snapshot!(format!("refused-{case}"), technician.screen());
        assert!(!title(&technician).starts_with("Summary"), "{case} is refused earlier");
    }
}

#[test]
fn memory_that_is_not_encrypted_is_refused_where_the_site_requires_it() {
    let mut technician = Technician::on_serial(Some(REFERENCE_SITE));
    technician.types("nm");
    assert!(technician.screen().contains("policy: require"), "{}", technician.screen());
    technician.types("n");
    insta::assert_snapshot!("refused-memory", technician.screen());
    technician.types("i");
    assert!(technician.screen().contains("there is no plan to agree to"));
    technician.types("e<enter>m");
    assert!(technician.screen().contains("policy: ignore"), "{}", technician.screen());
    technician.types("n");
    assert!(technician.screen().contains("disks will be erased"), "{}", technician.screen());
}

#[test]
fn a_machine_that_changed_makes_another_plan_and_what_was_typed_is_void() {
    let mut technician = Technician::on_serial(Some(REFERENCE_SITE));
    technician.types("nni00");
    let mut other = inventory(REFERENCE);
    other.disks.retain(|disk| disk.kernel_name != "sda");
    technician.hears(Msg::Inventory(Ok(Box::new(other))));
    insta::assert_snapshot!("refused-at-the-summary", technician.screen());
    technician.types("01<enter><tab><enter>");
    assert!(!technician.cmds.iter().any(|cmd| matches!(cmd, Cmd::Install(_))));
}

#[test]
fn from_a_damaged_medium_nothing_is_installed() {
    let mut technician = Technician::on_serial(Some(REFERENCE_SITE));
    technician.hears(Msg::Medium(Medium::Damaged("sovereign/base.squashfs is cut off".to_owned())));
    technician.types("nni");
    assert!(technician.screen().contains("the medium is damaged"), "{}", technician.screen());
}
