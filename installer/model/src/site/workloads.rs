//! `[workloads]`: what the services of the appliance are called, and where their certificates come from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[workloads]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workloads {
    /// Where certificates of the services come from. Default: `internal`.
    #[serde(default)]
    pub tls: Tls,
    /// Directory of the ACME authority, with `tls = "acme"`. Default: that of Let's Encrypt.
    #[serde(default)]
    pub acme_directory: Option<String>,
    /// Host names of single services, by the workload's name, such as `matrix = "chat.example.org"`. Default: a label of the workload's own
    /// before the domain of the guests.
    #[serde(default)]
    pub hosts: BTreeMap<String, String>,
}

/// Where certificates come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// From an authority of the appliance's own, made at installation; people have to trust it.
    #[default]
    Internal,
    /// From a public authority by ACME; edge must be reachable from it by every host name.
    Acme,
}
