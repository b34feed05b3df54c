//! The plan's hash: what was agreed to is what is done. It is taken when a person (or the site file) agrees and again right
//! before the first write.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::plan::Plan;

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// A plan's hash as somebody wrote it down who approved the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanHash(String);

/// What is no hash of a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a plan's hash has {DIGITS} hexadecimal digits and nothing else: copy the one that `sovereign-installer plan --hash` prints"
)]
pub struct NotAHash;

impl FromStr for PlanHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let is_hash = text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hash { Ok(Self(text.to_ascii_lowercase())) } else { Err(NotAHash) }
    }
}

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PlanHash {
    /// Whether `plan` is the plan that was approved.
    pub fn is_of(&self, plan: &Plan) -> bool {
        plan.hash() == self.0
    }
}

impl Plan {
    /// SHA-256 of the plan's canonical JSON (sorted keys, no white space), lower-case hexadecimal.
    ///
    /// Disk identities, sizes, signatures and every number are in it. Left out is what may differ between two looks at the same
    /// machine: kernel names of disks and interfaces, what disks say of their health (their faults are warnings, which are in it), and of the management interface everything but its address. The password hash, which is
    /// never serialised, is in it as a SHA-256 of its own.
    pub fn hash(&self) -> String {
        // Every type in a plan serialises: there are no maps with keys other than strings, and no floating point numbers.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(disks) = value.get_mut("disks").and_then(Value::as_array_mut) {
            for disk in disks.iter_mut().filter_map(Value::as_object_mut) {
                disk.remove("kernel_name");
                disk.remove("health");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(digits.parse::<PlanHash>().unwrap().to_string(), digits);
        assert_eq!(digits.to_uppercase().parse::<PlanHash>(), digits.parse());
        let wrong = [
            String::new(),
            digits[1..].to_owned(),
            format!("{digits}0"),
            digits.replace('f', "g"),
            format!(" {}", &digits[1..]),
        ];
        for wrong in wrong {
            assert_eq!(wrong.parse::<PlanHash>(), Err(NotAHash), "{wrong}");
        }
    }
}
