//! The plan's hash: what was agreed to is what is done. It is taken when a person (or the site file) agrees and again right
//! before the first write.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::plan::Plan;

impl Plan {
    /// SHA-256 of the plan's canonical JSON (sorted keys, no white space), lower-case hexadecimal.
    ///
    /// Disk identities, sizes, signatures and every number are in it. Left out is what may differ between two looks at the same
    /// machine: kernel names of disks and interfaces, and of the management interface everything but its address. The password hash, which is
    /// never serialised, is in it as a SHA-256 of its own.
    pub fn hash(&self) -> String {
        // Every type in a plan serialises: there are no maps with keys other than strings, and no floating point numbers.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(disks) = value.get_mut("disks").and_then(Value::as_array_mut) {
            for disk in disks.iter_mut().filter_map(Value::as_object_mut) {
                disk.remove("kernel_name");
            }
        }
        if let Some(nics) = value.get_mut("nics").and_then(Value::as_array_mut) {
            for nic in nics.iter_mut().filter_map(Value::as_object_mut) {
                nic.remove("kernel_name");
            }
        }
        value["nic"] = json!(self.nic.as_ref().map(|nic| &nic.mac));
        value["root_password_sha256"] =
            json!(self.site.admin.root_password_hash.as_ref().map(|hash| hex(hash.as_bytes())));
        let mut text = String::new();
        canonical(&value, &mut text);
        hex(text.as_bytes())
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// JSON with sorted keys whatever features of serde_json are on, and without white space.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&json!(key).to_string());
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical(value, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}
