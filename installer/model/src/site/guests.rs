//! `[guests]`: which virtual machines the node gets, and what of their figures the site decides itself.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Size;

/// `[guests]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guests {
    /// Whether each template gets a machine cloned from it. Default false: templates alone.
    #[serde(default)]
    pub deploy: bool,
    /// Where the machines' volumes are larger than the SSD pool by up to a tenth: true accepts that, false lets elastic volumes shrink
    /// until they fit. Without it such a machine is refused.
    #[serde(default)]
    pub ssd_overcommit: Option<bool>,
    /// Domain of the machines' names. Default: that of `site.fqdn`.
    #[serde(default)]
    pub domain: Option<String>,
    /// Default gateway of machines that are on the internal network alone. Default: none.
    #[serde(default)]
    pub internal_gateway: Option<String>,
    /// Name servers of the machines.
    #[serde(default)]
    pub dns: Vec<String>,
    /// What is said about single roles, by their names, such as `[guests.roles.core]`.
    #[serde(default)]
    pub roles: BTreeMap<String, GuestRole>,
}

/// `[guests.roles.ROLE]`: addresses, and figures that are not calculated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuestRole {
    /// Address on `vmbr1` with prefix length, such as `10.10.0.12/24`. Needed with `deploy = true`.
    #[serde(default)]
    pub internal_address: Option<String>,
    /// Address on `vmbr0` with prefix length, or `dhcp`, the default; for roles on the public network.
    #[serde(default)]
    pub public_address: Option<String>,
    /// Default gateway on `vmbr0`.
    #[serde(default)]
    pub public_gateway: Option<String>,
    /// Virtual CPUs, not above the threads of the machine.
    #[serde(default)]
    pub vcpus: Option<u32>,
    /// Weight where the CPUs are short, 1 to 10000.
    #[serde(default)]
    pub cpu_weight: Option<u32>,
    /// RAM; a share is taken from what the host leaves to guests.
    #[serde(default)]
    pub memory: Option<Size>,
    /// Everything on the SSD pool; a share is taken from that pool.
    #[serde(default)]
    pub ssd: Option<Size>,
    /// The data volume on the HDD pool; a share is taken from that pool.
    #[serde(default)]
    pub hdd: Option<Size>,
}
