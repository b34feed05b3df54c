//! Physical volumes: `pvs --reportformat json`.

use serde::Deserialize;

use crate::probe::ProbeError;
use crate::probe::capture::PVS;

/// A physical volume, and its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volume {
    /// LVM's UUID, as libblkid has it too.
    pub uuid: String,
    /// The group; none for a volume of no group.
    pub group: Option<String>,
    /// Volumes of the group that are not there.
    pub missing: u32,
}

#[derive(Deserialize)]
struct Report {
    report: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    pv: Vec<Row>,
}

/// All values are text in this format.
#[derive(Deserialize)]
struct Row {
    pv_uuid: String,
    vg_name: String,
    #[serde(default)]
    vg_missing_pv_count: String,
}

/// The volumes; none of an empty text.
pub(super) fn parse(text: &str) -> Result<Vec<Volume>, ProbeError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let bad = |error: serde_json::Error| ProbeError::Parse { capture: PVS.to_owned(), reason: error.to_string() };
    let report: Report = serde_json::from_str(text).map_err(bad)?;
    let volume = |row: Row| Volume {
        uuid: row.pv_uuid,
        group: Some(row.vg_name).filter(|name| !name.is_empty()),
        missing: row.vg_missing_pv_count.trim().parse().unwrap_or_default(),
    };
    Ok(report.report.into_iter().flat_map(|table| table.pv).map(volume).collect())
}
