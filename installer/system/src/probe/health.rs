//! What disks say of their own state: `smartctl --json`.

use std::collections::HashMap;

use serde_json::Value;
use sovereign_model::inventory::Health;

/// What smartctl tells of one disk.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub firmware: Option<String>,
    pub health: Option<Health>,
}

/// Attributes of ATA disks, by their number (ACS has none of them; makers agree on these).
const REALLOCATED: u64 = 5;
const REPORTED_UNCORRECTABLE: u64 = 187;
const PENDING: u64 = 197;
const OFFLINE_UNCORRECTABLE: u64 = 198;
/// Attributes count in 48 bits; the upper ones are the maker's own (Seagate keeps timeouts there).
const COUNT_BITS: u64 = 0xFFFF_FFFF;

/// By device node. One JSON document a disk, one after another; a disk of which there is none, or one that smartctl could not
/// open, is not in it. What follows a document that is cut off is not read.
pub(super) fn parse(text: &str) -> HashMap<String, Told> {
    let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    documents.map_while(Result::ok).filter_map(|document| Some((device(&document)?, told(&document)))).collect()
}

/// The node it was asked of.
fn device(document: &Value) -> Option<String> {
    document.pointer("/device/name").and_then(Value::as_str).map(str::to_owned)
}

fn told(document: &Value) -> Told {
    let number = |path: &str| document.pointer(path).and_then(Value::as_u64);
    let percent = |path: &str| number(path).map(|percent| u8::try_from(percent).unwrap_or(u8::MAX));
    let attribute = |id: u64| {
        let table = document.pointer("/ata_smart_attributes/table")?.as_array()?;
        let entry = table.iter().find(|entry| entry.get("id").and_then(Value::as_u64) == Some(id))?;
        entry.pointer("/raw/value").and_then(Value::as_u64).map(|raw| raw & COUNT_BITS)
    };
    let nvme = "/nvme_smart_health_information_log";
    let health = Health {
        passed: document.pointer("/smart_status/passed").and_then(Value::as_bool),
        critical_warning: number(&format!("{nvme}/critical_warning")).and_then(|bits| u8::try_from(bits).ok()),
        media_errors: number(&format!("{nvme}/media_errors"))
            .or_else(|| attribute(REPORTED_UNCORRECTABLE))
            .or_else(|| uncorrected(document)),
        wear_percent: percent(&format!("{nvme}/percentage_used"))
            .or_else(|| percent("/endurance_used/current_percent"))
            .or_else(|| percent("/scsi_percentage_used_endurance_indicator"))
            .or_else(|| statistic(document, "Percentage Used Endurance Indicator").and_then(|p| u8::try_from(p).ok())),
        spare_percent: percent(&format!("{nvme}/available_spare")),
        pending_sectors: attribute(PENDING).or_else(|| number("/scsi_pending_defects/count")),
        reallocated_sectors: attribute(REALLOCATED).or_else(|| number("/scsi_grown_defect_list")),
        uncorrectable_sectors: attribute(OFFLINE_UNCORRECTABLE),
        temperature_c: document
            .pointer("/temperature/current")
            .and_then(Value::as_i64)
            .and_then(|degrees| i32::try_from(degrees).ok()),
        power_on_hours: number("/power_on_time/hours"),
    };
    let text =
        |path: &str| document.pointer(path).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    Told {
        firmware: text("/firmware_version").or_else(|| text("/scsi_revision")).map(str::to_owned),
        // A controller or bridge that answers for its disks tells a temperature at most.
        health: (health != Health { temperature_c: health.temperature_c, ..Health::default() }).then_some(health),
    }
}

/// What a SCSI disk could not read, write or verify, all in all.
fn uncorrected(document: &Value) -> Option<u64> {
    let log = document.get("scsi_error_counter_log")?;
    let counts = ["read", "write", "verify"].map(|way| log.get(way)?.get("total_uncorrected_errors")?.as_u64());
    counts.into_iter().flatten().reduce(u64::saturating_add)
}

/// A device statistic of an ATA disk (ACS-4, 9.5), where it is valid.
fn statistic(document: &Value, name: &str) -> Option<u64> {
    let pages = document.pointer("/ata_device_statistics/pages")?.as_array()?;
    let mut entries = pages.iter().filter_map(|page| page.get("table")?.as_array()).flatten();
    let entry = entries.find(|entry| entry.get("name").and_then(Value::as_str) == Some(name))?;
    if entry.pointer("/flags/valid").and_then(Value::as_bool) == Some(false) {
        return None;
    }
    entry.get("value")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    // smartctl 7.4: `smartctl --json --nocheck=standby --info --health --attributes --log=error --log=devstat /dev/...`, of disks
    // of QEMU 7.2.
    const SATA: &str = include_str!("health/qemu-sata.json");
    const NVME: &str = include_str!("health/qemu-nvme.json");
    // What smartctl 7.4 names the fields of a SAS disk and of a SATA SSD, with numbers of our own.
    const SAS: &str = r#"{"device":{"name":"/dev/sdc","protocol":"SCSI"},"scsi_revision":"A3D4","smart_status":{"passed":false},
        "temperature":{"current":38,"drive_trip":65},"power_on_time":{"hours":41000,"minutes":12},"scsi_grown_defect_list":17,
        "scsi_error_counter_log":{"read":{"total_uncorrected_errors":3},"write":{"total_uncorrected_errors":0},"verify":{}}}"#;
    const SSD: &str = r#"{"device":{"name":"/dev/sdd"},"smart_status":{"passed":true},"ata_device_statistics":{"pages":[
        {"number":1,"table":[{"offset":8,"name":"Lifetime Power-On Resets","value":4,"flags":{"valid":true}}]},
        {"number":7,"table":[{"offset":8,"name":"Percentage Used Endurance Indicator","value":12,"flags":{"valid":true}}]}]}}"#;

    fn only(text: &str, device: &str) -> Told {
        parse(text).remove(device).unwrap()
    }

    #[test]
    fn each_kind_of_disk_tells_its_health_in_its_own_words() {
        let text = [SATA, NVME, SAS, SSD].concat();
        let sata = only(&text, "/dev/sda");
        assert_eq!(sata.firmware.as_deref(), Some("2.5+"));
        let health = sata.health.unwrap();
        assert_eq!((health.passed, health.temperature_c, health.power_on_hours), (Some(true), Some(31), Some(1)));
        assert_eq!((health.reallocated_sectors, health.pending_sectors, health.wear_percent), (Some(0), None, None));
        let nvme = only(&text, "/dev/nvme0n1").health.unwrap();
        assert_eq!((nvme.critical_warning, nvme.media_errors, nvme.wear_percent), (Some(0), Some(0), Some(0)));
        let sas = only(&text, "/dev/sdc");
        assert_eq!(sas.firmware.as_deref(), Some("A3D4"));
        let health = sas.health.unwrap();
        assert_eq!((health.passed, health.media_errors, health.reallocated_sectors), (Some(false), Some(3), Some(17)));
        assert_eq!(only(&text, "/dev/sdd").health.unwrap().wear_percent, Some(12));
    }

    #[test]
    fn sectors_that_wait_are_counted_without_the_makers_upper_bits() {
        let attribute = |id: u64, raw: u64| format!(r#"{{"id":{id},"raw":{{"value":{raw}}}}}"#);
        let table = [attribute(5, 2), attribute(187, 1), attribute(197, 0x0001_0000_0008), attribute(198, 8)].join(",");
        let text = format!(r#"{{"device":{{"name":"/dev/sda"}},"ata_smart_attributes":{{"table":[{table}]}}}}"#);
        let health = only(&text, "/dev/sda").health.unwrap();
        let counts =
            [health.reallocated_sectors, health.media_errors, health.pending_sectors, health.uncorrectable_sectors];
        assert_eq!(counts, [Some(2), Some(1), Some(8), Some(8)]);
    }

    #[test]
    fn a_disk_that_does_not_answer_has_no_health() {
        // In standby, behind an unknown bridge, and a volume of a controller that tells its own temperature.
        for text in [
            r#"{"smartctl":{"exit_status":2},"device":{"name":"/dev/sda"},"power_mode":{"ata_value":0}}"#,
            r#"{"smartctl":{"messages":[{"string":"/dev/sda: Unknown USB bridge"}],"exit_status":1},"device":{"name":"/dev/sda"}}"#,
            r#"{"device":{"name":"/dev/sda"},"temperature":{"current":0}}"#,
        ] {
            assert_eq!(only(text, "/dev/sda").health, None);
        }
        assert!(parse("").is_empty() && parse("{\"device\":").is_empty() && parse("[]").is_empty());
        // What follows a document that is cut off is not taken for another's.
        assert_eq!(parse(&[SSD, "{\"x\":", SATA].concat()).len(), 1);
    }

    #[test]
    fn a_number_that_is_too_large_is_the_largest() {
        let text = NVME.replace("\"percentage_used\": 0", "\"percentage_used\": 300");
        assert_eq!(only(&text, "/dev/nvme0n1").health.unwrap().wear_percent, Some(255));
    }
}
