//! `status`: is this installed machine what was planned? Degraded arrays, absent disks, closed containers, missing or nearly full pools and guests without
//! their volumes, by name.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sovereign_model::exit::ExitCode;
use sovereign_model::installed::INCOMPLETE;
use sovereign_model::plan::{Array, Plan};
use sovereign_system::runner::{Cmd, Host, Runner};

use super::{bare_pools, guest_volumes, memory_encryption, rejoin};
use crate::cli::Status;
use crate::failure::{Failure, OrFail};
use crate::findings::{self, Finding, State};

pub fn run(args: &Status) -> Result<ExitCode, Failure> {
    let plan = super::installed_plan()?;
    if args.rejoin {
        for line in rejoin::rejoin(&Host, &rejoin::Places::default(), &plan.arrays)? {
            super::print(&line)?;
        }
    }
    let mut findings = look(&Host, &plan)?;
    findings.extend(memory_encryption::finding(&Host, Path::new("/"), &plan));
    let report = format!("{}{}", findings::describe(&plan, &findings), reached_at(&Host));
    for path in &args.banner {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).or_fail(ExitCode::Internal)?;
        }
        fs::write(path, format!("{report}\n")).or_fail(ExitCode::Internal)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).or_fail(ExitCode::Internal)?;
    }
    if args.json {
        super::print_data(&serde_json::to_string_pretty(&findings).or_fail(ExitCode::Internal)?)?;
    } else {
        super::print(&report)?;
    }
    Ok(if findings::all_ok(&findings) { ExitCode::Done } else { ExitCode::Degraded })
}

/// How this machine is reached: a line for each address of its bridges and interfaces.
fn reached_at(runner: &dyn Runner) -> String {
    let look = || -> Result<Vec<Link>, Failure> {
        let shown =
            runner.run(&Cmd::new("ip", ["-json", "address", "show", "scope", "global"])).or_fail(ExitCode::Internal)?;
        serde_json::from_str(&shown.stdout).or_fail(ExitCode::Internal)
    };
    match look() {
        Ok(links) => addresses(&links, Path::new(PROXMOX_WEB).exists()),
        // What is known of the disks must be said all the same.
        Err(failure) => format!("  address  unknown: {}\n", failure.to_string().replace('\n', " ")),
    }
}

/// The program that serves Proxmox VE's web interface, at port 8006.
const PROXMOX_WEB: &str = "/usr/bin/pveproxy";

#[derive(serde::Deserialize)]
struct Link {
    ifname: Option<String>,
    #[serde(default)]
    addr_info: Vec<Address>,
}

#[derive(serde::Deserialize)]
struct Address {
    local: Option<String>,
}

fn addresses(links: &[Link], web: bool) -> String {
    let mut text = String::new();
    for link in links {
        let Some(name) = &link.ifname else { continue };
        for address in link.addr_info.iter().filter_map(|a| a.local.as_deref()) {
            let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            let web = if web { format!(", https://{host}:8006") } else { String::new() };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  address  {name}: {address}{web}");
        }
    }
    text
}

/// Arrays, containers, pools and guests' volumes, each compared with the plan.
pub(super) fn look(runner: &dyn Runner, plan: &Plan) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    if Path::new(INCOMPLETE).exists() {
        findings.push(Finding {
            what: "installation".into(),
            state: State::Degraded,
            detail: "it was never completed: boot the installation medium again".into(),
        });
    }
    for array in &plan.arrays {
        findings.push(array_finding(array));
    }
    findings.extend(bare_pools::look(plan, Path::new("/")));
    for container in &plan.containers {
        let open = Path::new("/dev/mapper").join(&container.name).exists();
        findings.push(Finding {
            what: format!("container {}", container.name),
            state: if open { State::Ok } else { State::Missing },
            detail: if open { "open".into() } else { "not open".into() },
        });
    }
    let fields = "vg_name,lv_name,lv_attr,data_percent,metadata_percent,vg_free_count,vg_missing_pv_count";
    // Exit code 5 says that a volume group is incomplete; the report is printed all the same.
    let lvs = runner
        .status(&Cmd::new("lvs", ["--reportformat", "json", "-o", fields]), &mut |_| {})
        .or_fail(ExitCode::Internal)?;
    let report: LvsReport = serde_json::from_str(&lvs.stdout).or_fail(ExitCode::Internal)?;
    let rows: Vec<LvsRow> = report.report.into_iter().flat_map(|r| r.lv).collect();
    for group in &plan.volume_groups {
        let Some(pool) = &group.pool else { continue };
        findings.push(pool_finding(&group.name, &pool.name, &rows));
    }
    if let Some(guests) = &plan.guests {
        let rows: Vec<_> = rows.iter().map(LvsRow::as_volume).collect();
        let known = guest_volumes::Known { root: Path::new("/"), node: plan.node(), rows: &rows };
        findings.extend(guest_volumes::look(guests, &known));
    }
    Ok(findings)
}

#[derive(serde::Deserialize)]
struct LvsReport {
    report: Vec<LvsList>,
}

#[derive(serde::Deserialize)]
struct LvsList {
    lv: Vec<LvsRow>,
}

#[derive(serde::Deserialize)]
struct LvsRow {
    vg_name: String,
    lv_name: String,
    lv_attr: String,
    data_percent: String,
    metadata_percent: String,
    vg_missing_pv_count: String,
}

impl LvsRow {
    fn as_volume(&self) -> guest_volumes::Row<'_> {
        guest_volumes::Row { group: &self.vg_name, name: &self.lv_name, attributes: &self.lv_attr }
    }
}

fn pool_finding(group: &str, pool: &str, rows: &[LvsRow]) -> Finding {
    let what = format!("thin pool {group}/{pool}");
    let Some(row) = rows.iter().find(|r| r.vg_name == group && r.lv_name == pool) else {
        return Finding { what, state: State::Missing, detail: format!("volume group {group} is not there") };
    };
    // lvs has no figures for a pool that is not active.
    if row.data_percent.is_empty() {
        return Finding { what, state: State::Missing, detail: "not active".into() };
    }
    let mut detail = format!("data {} % used, metadata {} % used", row.data_percent, row.metadata_percent);
    let state = match [&row.data_percent, &row.metadata_percent].into_iter().filter_map(|p| whole_percent(p)).max() {
        _ if row.vg_missing_pv_count != "0" => State::Missing,
        Some(FULL_PERCENT..) => {
            detail += ", nearly full: guests stop writing when it is";
            State::Degraded
        }
        Some(FILLING_PERCENT..) => {
            detail += ", filling up";
            State::Ok
        }
        _ => State::Ok,
    };
    Finding { what, state, detail }
}

/// From here on a pool is said to fill up (facts: storage, "LVM thin").
const FILLING_PERCENT: u8 = 70;
/// From here on it is not as it should be (same source).
const FULL_PERCENT: u8 = 85;

/// The whole part of a figure such as `84.99`.
fn whole_percent(figure: &str) -> Option<u8> {
    figure.split('.').next()?.parse().ok()
}

/// What sysfs says of an array, and what is missing.
fn array_finding(array: &Array) -> Finding {
    let what = format!("array {}", array.name);
    let Some(kernel_name) = rejoin::kernel_name(Path::new("/dev/md"), &array.name) else {
        return Finding { what, state: State::Missing, detail: "not assembled: too few of its disks are there".into() };
    };
    let md = Path::new("/sys/block").join(kernel_name).join("md");
    let read = |name: &str| fs::read_to_string(md.join(name)).unwrap_or_default().trim().to_owned();
    let mut finding =
        describe_array(what, &read("raid_disks"), &read("degraded"), &read("sync_action"), &read("sync_completed"));
    if read("sync_action") == "idle" && !matches!(read("resync_start").as_str(), "none" | "") {
        // md starts a sync with the first write.
        finding.detail += ", resync pending";
    }
    finding
}

fn describe_array(what: String, disks: &str, degraded: &str, action: &str, completed: &str) -> Finding {
    let missing: Option<u32> = degraded.parse().ok();
    let mut detail = match missing {
        Some(0) => format!("{disks} of {disks} disks"),
        Some(n) => format!("{n} of {disks} disks missing"),
        None => "the kernel does not say how many disks are missing".to_owned(),
    };
    if !matches!(action, "" | "idle") {
        // `done / total` in sectors.
        let percent = completed.split_once(" / ").and_then(|(done, total)| {
            let (done, total): (u64, u64) = (done.trim().parse().ok()?, total.trim().parse().ok()?);
            (done * 100).checked_div(total)
        });
        match percent {
            Some(percent) => write!(detail, ", {action} {percent} %").unwrap_or_default(),
            None => write!(detail, ", {action}").unwrap_or_default(),
        }
    }
    Finding { what, state: if missing == Some(0) { State::Ok } else { State::Degraded }, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_bridges_and_nothing_of_what_has_none() {
        // iproute2 6.15, `ip -json address show scope global`, shortened: interfaces without an address are empty objects.
        let shown = r#"[{},{"ifname":"vmbr0","addr_info":[{"family":"inet","local":"192.0.2.10","prefixlen":24},
            {"family":"inet6","local":"2001:db8::10","prefixlen":64},{}]}]"#;
        let links: Vec<Link> = serde_json::from_str(shown).unwrap();
        assert_eq!(addresses(&links, false), "  address  vmbr0: 192.0.2.10\n  address  vmbr0: 2001:db8::10\n");
        assert!(addresses(&links, true).contains("2001:db8::10, https://[2001:db8::10]:8006\n"));
        assert_eq!(addresses(&[], true), "");
    }

    #[test]
    fn addresses_that_cannot_be_read_do_not_hide_the_disks() {
        let broken = sovereign_system::testing::Recorder::new().fails("ip", 1, "no netlink");
        assert!(reached_at(&broken).starts_with("  address  unknown: "));
    }

    #[test]
    fn arrays_in_words() {
        let say = |degraded, action, completed| {
            let f = describe_array("array ssd".into(), "2", degraded, action, completed);
            (f.state, f.detail)
        };
        assert_eq!(say("0", "idle", "none"), (State::Ok, "2 of 2 disks".into()));
        assert_eq!(say("1", "idle", "none"), (State::Degraded, "1 of 2 disks missing".into()));
        assert_eq!(say("0", "resync", "1000 / 4000"), (State::Ok, "2 of 2 disks, resync 25 %".into()));
        for unknown in ["", "x"] {
            assert_eq!(say(unknown, "idle", "none").0, State::Degraded);
        }
        assert_eq!(say("1", "recover", "none"), (State::Degraded, "1 of 2 disks missing, recover".into()));
    }

    #[test]
    fn a_pool_that_is_not_there_is_missing() {
        let row = |vg: &str, missing: &str| LvsRow {
            vg_name: vg.into(),
            lv_name: "data".into(),
            lv_attr: "twi-aotz--".into(),
            data_percent: "1.50".into(),
            metadata_percent: "0.90".into(),
            vg_missing_pv_count: missing.into(),
        };
        assert_eq!(pool_finding("bulk", "data", &[row("pve", "0")]).state, State::Missing);
        assert_eq!(pool_finding("bulk", "data", &[row("bulk", "1")]).state, State::Missing);
        assert_eq!(pool_finding("pve", "data", &[row("pve", "0")]).state, State::Ok);
        let inactive = LvsRow { data_percent: String::new(), metadata_percent: String::new(), ..row("bulk", "0") };
        assert_eq!(pool_finding("bulk", "data", &[inactive]).state, State::Missing);
    }

    #[test]
    fn a_pool_that_is_nearly_full_is_not_as_it_should_be_whichever_of_its_parts_it_is() {
        let say = |data: &str, metadata: &str| {
            let row = LvsRow {
                vg_name: "pve".into(),
                lv_name: "data".into(),
                lv_attr: "twi-aotz--".into(),
                data_percent: data.into(),
                metadata_percent: metadata.into(),
                vg_missing_pv_count: "0".into(),
            };
            let found = pool_finding("pve", "data", &[row]);
            (found.state, found.detail)
        };
        assert_eq!(say("69.99", "3.10"), (State::Ok, "data 69.99 % used, metadata 3.10 % used".into()));
        assert_eq!(say("3.10", "84.99"), (State::Ok, "data 3.10 % used, metadata 84.99 % used, filling up".into()));
        for (data, metadata) in [("85.00", "3.10"), ("3.10", "85.00"), ("100.00", "100.00")] {
            let (state, detail) = say(data, metadata);
            assert!(state == State::Degraded && detail.contains("nearly full"), "{detail}");
        }
    }

    #[test]
    fn guests_are_compared_with_the_plan_after_the_pools() {
        // lvm 2.03.31, shortened to one volume: everything else of the reference is missing.
        let lvs = r#"{"report": [{"lv": [{"vg_name":"pve", "lv_name":"base-9001-disk-0", "lv_attr":"Vri---tz-k", "data_percent":"",
            "metadata_percent":"", "vg_free_count":"5246", "vg_missing_pv_count":"0"}]}]}"#;
        let runner = sovereign_system::testing::Recorder::new().prints("lvs", lvs);
        let plan = super::super::first_boot::tests::plan();
        let found: Vec<String> = look(&runner, &plan).unwrap().into_iter().map(|finding| finding.what).collect();
        assert!(found.ends_with(&["guest edge".into(), "guest core".into(), "guest storage".into()]), "{found:?}");
    }
}
