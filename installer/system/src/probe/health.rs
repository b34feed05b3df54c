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
