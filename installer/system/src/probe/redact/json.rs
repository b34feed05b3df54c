//! Captures in JSON: fields that are known, one by one. A capture that is not in its format is left out: nothing can be said of
//! what is in it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::names::{Kind, Names};

/// Fields of lsblk that name no machine.
const LSBLK_KEPT: [&str; 14] = [
    "kname", "type", "size", "model", "vendor", "rev", "log-sec", "phy-sec", "tran", "rota", "rm", "ro", "hotplug",
    "parttype",
];
/// How the names of our own partitions begin.
const OURS: &str = "sovereign-";

/// The documents of a text; those after one that is damaged are not.
fn documents(text: &str) -> impl Iterator<Item = Value> + '_ {
    serde_json::Deserializer::from_str(text).into_iter::<Value>().map_while(Result::ok)
}

fn pretty(values: &[Value]) -> String {
    let texts = values.iter().map(|value| serde_json::to_string_pretty(value).unwrap_or_default());
    texts.map(|text| text + "\n").collect()
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

/// Nodes of devices by the one they have in the redacted captures: one of device-mapper has the name of its group and volume.
pub(super) fn paths(lsblk: &str) -> BTreeMap<String, String> {
    fn walk(node: &Value, paths: &mut BTreeMap<String, String>) {
        if let (Some(path), Some(kname)) = (text(node, "path"), text(node, "kname")) {
            paths.insert(path.to_owned(), format!("/dev/{kname}"));
            paths.insert(format!("/dev/{kname}"), format!("/dev/{kname}"));
        }
        node.get("children").and_then(Value::as_array).into_iter().flatten().for_each(|child| walk(child, paths));
    }
    let mut paths = BTreeMap::new();
    for document in documents(lsblk) {
        let nodes = document.get("blockdevices").and_then(Value::as_array);
        nodes.into_iter().flatten().for_each(|node| walk(node, &mut paths));
    }
    paths
}

pub(super) fn lsblk(capture: &str, names: &mut Names) -> String {
    fn redacted(node: &Value, names: &mut Names) -> Value {
        let mut out = Map::new();
        for field in LSBLK_KEPT {
            if let Some(value) = node.get(field) {
                out.insert(field.to_owned(), value.clone());
            }
        }
        let kname = text(node, "kname").unwrap_or_default();
        out.insert("name".to_owned(), json!(kname));
        out.insert("path".to_owned(), json!(format!("/dev/{kname}")));
        out.insert("serial".to_owned(), json!(text(node, "serial").map(|serial| names.of(Kind::Serial, serial))));
        out.insert("wwn".to_owned(), json!(text(node, "wwn").map(|wwn| names.of(Kind::Wwn, wwn))));
        out.insert("label".to_owned(), json!(text(node, "label").map(|label| names.label(label))));
        let part = text(node, "partlabel").filter(|label| label.starts_with(OURS));
        out.insert("partlabel".to_owned(), json!(part));
        let points = node.get("mountpoints").and_then(Value::as_array).into_iter().flatten();
        let points: Vec<_> = points.map(|point| point.as_str().map(|point| names.mount_point(point))).collect();
        out.insert("mountpoints".to_owned(), json!(points));
        if let Some(children) = node.get("children").and_then(Value::as_array) {
            let children: Vec<Value> = children.iter().map(|child| redacted(child, names)).collect();
            out.insert("children".to_owned(), json!(children));
        }
        Value::Object(out)
    }
    let tree = |document: Value| {
        let nodes = document.get("blockdevices").and_then(Value::as_array).into_iter().flatten();
        let nodes: Vec<Value> = nodes.map(|node| redacted(node, names)).collect();
        json!({ "blockdevices": nodes })
    };
    pretty(&documents(capture).map(tree).collect::<Vec<_>>())
}

pub(super) fn wipefs(capture: &str, names: &mut Names) -> String {
    let mut signature = |one: &Value| {
        json!({
            "device": text(one, "device"),
            "offset": text(one, "offset"),
            "type": text(one, "type"),
            "uuid": text(one, "uuid").map(|uuid| names.of(Kind::Uuid, uuid)),
            "label": text(one, "label").map(|label| names.label(label)),
        })
    };
    let document = |document: Value| {
        let found = document.get("signatures").and_then(Value::as_array).into_iter().flatten();
        let found: Vec<Value> = found.map(&mut signature).collect();
        json!({ "signatures": found })
    };
    pretty(&documents(capture).map(document).collect::<Vec<_>>())
}

pub(super) fn pvs(capture: &str, names: &mut Names) -> String {
    let mut volume = |one: &Value| {
        json!({
            "pv_uuid": names.of(Kind::Uuid, text(one, "pv_uuid").unwrap_or_default()),
            "vg_name": names.label(text(one, "vg_name").unwrap_or_default()),
            "vg_missing_pv_count": text(one, "vg_missing_pv_count").unwrap_or_default(),
        })
    };
    let document = |document: Value| {
        let tables = document.get("report").and_then(Value::as_array).into_iter().flatten();
        let rows = tables.filter_map(|table| table.get("pv")?.as_array()).flatten();
        let rows: Vec<Value> = rows.map(&mut volume).collect();
        json!({ "report": [{ "pv": rows }] })
    };
    pretty(&documents(capture).map(document).collect::<Vec<_>>())
}

/// Lines `DEVICE JSON`: the site and its state, not which installation it was.
pub(super) fn earlier(capture: &str, names: &mut Names) -> String {
    let mut line = |line: &str| {
        let (device, state) = line.split_once(' ')?;
        let state: Value = serde_json::from_str(state).ok()?;
        let site = names.of(Kind::Site, text(&state, "site")?);
        let kept = json!({ "site": site, "started": state.get("started"), "state": state.get("state") });
        Some(format!("{device} {kept}\n"))
    };
    capture.lines().filter_map(&mut line).collect()
}

/// What [`crate::probe::health`] reads, at the places it reads it from.
pub(super) fn smartctl(capture: &str) -> String {
    const WHOLE: [&str; 9] = [
        "smart_status",
        "firmware_version",
        "scsi_revision",
        "temperature",
        "power_on_time",
        "endurance_used",
        "scsi_percentage_used_endurance_indicator",
        "scsi_pending_defects",
        "scsi_grown_defect_list",
    ];
    const LOGS: [&str; 3] = ["nvme_smart_health_information_log", "scsi_error_counter_log", "ata_device_statistics"];
    let document = |document: Value| {
        let mut out = Map::new();
        out.insert("device".to_owned(), json!({ "name": document.pointer("/device/name") }));
        for field in WHOLE.iter().chain(&LOGS) {
            if let Some(value) = document.get(*field) {
                out.insert((*field).to_owned(), value.clone());
            }
        }
        if let Some(table) = document.pointer("/ata_smart_attributes/table").and_then(Value::as_array) {
            let entry = |entry: &Value| json!({ "id": entry.get("id"), "name": entry.get("name"), "raw": { "value": entry.pointer("/raw/value") } });
            let table: Vec<Value> = table.iter().map(entry).collect();
            out.insert("ata_smart_attributes".to_owned(), json!({ "table": table }));
        }
        Value::Object(out)
    };
    pretty(&documents(capture).map(document).collect::<Vec<_>>())
}

/// Of what an NVMe controller says of itself, what it can do.
pub(super) fn id_ctrl(capture: &str) -> String {
    const KEPT: [&str; 3] = ["oacs", "fna", "sanicap"];
    let document = |document: Value| {
        let kept = KEPT.iter().filter_map(|field| Some(((*field).to_owned(), document.get(*field)?.clone())));
        Value::Object(kept.collect())
    };
    pretty(&documents(capture).map(document).collect::<Vec<_>>())
}
