//! Where an installed machine keeps what the installer left: written by the steps, read by the commands that run there.

/// The plan it was installed by, JSON.
pub const PLAN: &str = "/etc/sovereign/plan.json";
/// What is on the medium it was installed from, JSON.
pub const MANIFEST: &str = "/etc/sovereign/manifest.json";
/// The installation's journal, one JSON object a line.
pub const JOURNAL: &str = "/var/log/sovereign/journal.jsonl";
/// There until the last step of an installation.
pub const INCOMPLETE: &str = "/var/lib/sovereign/INSTALL-INCOMPLETE";
/// What the first boot found and did, JSON.
pub const FIRST_BOOT: &str = "/var/lib/sovereign/first-boot.json";
/// There once the first boot found everything as planned: it is not checked again.
pub const FIRST_BOOT_DONE: &str = "/var/lib/sovereign/first-boot.done";
/// Configurations of guests that wait for this node to join its cluster, `VMID.conf` each.
pub const WAITING_GUESTS: &str = "/var/lib/sovereign/waiting-guests";
/// Folder of secrets that the first boot uses and then erases.
pub const SECRETS: &str = "/etc/sovereign/secrets";
/// The password for joining a cluster, one line.
pub const CLUSTER_PASSWORD: &str = "/etc/sovereign/secrets/cluster-password";
/// The Proxmox subscription key, one line.
pub const SUBSCRIPTION_KEY: &str = "/etc/sovereign/secrets/subscription-key";
/// The slice in which Proxmox VE runs all virtual machines.
pub const GUESTS_SLICE: &str = "qemu.slice";
