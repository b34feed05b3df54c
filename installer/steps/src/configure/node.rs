//! Proxmox VE's side of the node: its configuration database with accounts and storages, and the empty folder that it is mounted on.

use std::net::IpAddr;

use sovereign_engine::StepError;
use sovereign_model::installed::WAITING_GUESTS;
use sovereign_model::plan::Plan;
use sovereign_model::site::ClusterMode;
use sovereign_proxmox::files::{Backend, Content, Datacenter, Storage, datacenter_cfg, storage_cfg, user_cfg};
use sovereign_proxmox::guest::Guest;
use sovereign_proxmox::pmxcfs::{self, DATABASE_PATH, Initial, Severity, Tree};
use sovereign_system::runner::Cmd;

use super::guests;
use crate::context::Context;
use crate::create_arrays::host_name;
use crate::fail::OrStep;
use crate::files;

/// Where the cluster file system is mounted. Until then nothing may be written into it.
const MOUNT_POINT: &str = "/etc/pve";
/// Volume group of the SSD pool.
const SSD_GROUP: &str = "pve";

/// Writes the database. Without Proxmox VE among the packages there is nothing to write.
///
/// # Errors
/// The database's, the file system's.
pub fn write(context: &Context) -> Result<(), StepError> {
    if !context.is_proxmox() {
        return Ok(());
    }
    let path = context.on_target(DATABASE_PATH);
    if let Some(folder) = path.parent() {
        files::folder(folder, 0o755)?;
    }
    // From an earlier attempt on the same file system.
    if path.exists() {
        std::fs::remove_file(&path).or_step(&format!("cannot remove {}", path.display()))?;
    }
    let mtime = u32::try_from(context.started).unwrap_or(u32::MAX);
    let guests = guests::configurations(context)?;
    // On the disk with everything else by the sync of `finalise`, before the installation is called complete.
    pmxcfs::write(&path, &tree(&context.plan, &guests)?, mtime).or_step("cannot write the configuration database")?;
    files::folder(&context.on_target(WAITING_GUESTS), 0o700)?;
    if waits(&context.plan) {
        wait(context, &guests)?;
    }

    let point = context.on_target(MOUNT_POINT);
    if !point.exists() {
        files::folder(&point, 0o755)?;
    }
    let point = point.display().to_string();
    let cmd = Cmd::new("chattr", ["+i", point.as_str()]);
    context.runner.run(&cmd).map(drop).or_step_on("cannot protect the folder of the cluster file system", &point)
}

/// The database is one that Proxmox VE loads.
///
/// # Errors
/// What is wrong with it.
pub fn check(context: &Context) -> Result<(), StepError> {
    if !context.is_proxmox() {
        return Ok(());
    }
    let database = pmxcfs::read(&context.on_target(DATABASE_PATH)).or_step("cannot read the configuration database")?;
    let problems: Vec<String> = pmxcfs::check(&database)
        .into_iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(|problem| problem.to_string())
        .collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(StepError::new(format!("the configuration database is not what Proxmox VE loads:\n{}", problems.join("\n"))))
}

/// What is in the database of a node that has just been installed.
///
/// # Errors
/// A file of Proxmox VE's cannot hold what the site file says.
pub(super) fn tree(plan: &Plan, guests: &[Guest]) -> Result<Tree, StepError> {
    let site = &plan.site;
    let what = "cannot make Proxmox VE's configuration";
    let files = Initial {
        datacenter_cfg: &datacenter_cfg(Datacenter { keyboard: Some(&site.site.keyboard) }),
        user_cfg: &user_cfg(&site.admin.email).or_step(what)?,
        storage_cfg: &storage_cfg(&storages(plan)).or_step(what)?,
    };
    let node = host_name(&site.site.fqdn);
    let mut tree = Tree::initial(node, files).or_step(what)?;
    if !waits(plan) {
        for guest in guests {
            tree.guest(node, guest).or_step(what)?;
        }
    }
    Ok(tree)
}

/// Whether guests are registered after the first boot: Proxmox VE lets no node join that has some.
fn waits(plan: &Plan) -> bool {
    plan.site.cluster.mode == ClusterMode::Join
}

/// Puts guests where the first boot registers them.
fn wait(context: &Context, guests: &[Guest]) -> Result<(), StepError> {
    for guest in guests {
        let text = guest.write().or_step("cannot describe a guest to Proxmox VE")?;
        let path = format!("{WAITING_GUESTS}/{}.conf", guest.id);
        files::write(&context.on_target(&path), text.as_bytes(), 0o640)?;
    }
    Ok(())
}

/// The storage of a volume group.
pub fn storage_of(group: &str) -> String {
    if group == SSD_GROUP { "local-lvm".to_owned() } else { format!("{group}-lvm") }
}

/// The node's storages: a folder for images and backups, and the guests' volumes on each pool.
pub fn storages(plan: &Plan) -> Vec<Storage> {
    let local = Storage {
        id: "local".to_owned(),
        backend: Backend::Dir { path: "/var/lib/vz".to_owned() },
        content: vec![Content::Iso, Content::Vztmpl, Content::Backup, Content::Import, Content::Snippets],
    };
    let pools = plan.volume_groups.iter().map(|group| Storage {
        id: storage_of(&group.name),
        backend: match &group.pool {
            Some(pool) => Backend::LvmThin { vg: group.name.clone(), pool: pool.name.clone() },
            None => Backend::Lvm { vg: group.name.clone() },
        },
        content: vec![Content::Images, Content::Rootdir],
    });
    std::iter::once(local).chain(pools).collect()
}

/// The address that the node's name stands for: one that stays, and that is not a loopback address.
pub fn node_address(plan: &Plan) -> Option<IpAddr> {
    let network = &plan.site.network;
    let fixed = network.address.as_deref().or(network.internal_address.as_deref());
    fixed?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{context, proxmox_live};

    #[test]
    fn the_database_of_a_node_is_one_that_loads() {
        let target = tempfile::tempdir().unwrap();
        let (mut context, recorder) = context("reference", target.path());
        let live = proxmox_live();
        context.live = live.path().to_owned();
        write(&context).unwrap();
        check(&context).unwrap();
        let database = pmxcfs::read(&context.on_target(DATABASE_PATH)).unwrap();
        assert_eq!(pmxcfs::check(&database), []);
        let paths = pmxcfs::dump(&database);
        assert!(["9001", "9003", "101", "103"].iter().all(|id| paths.contains(&format!("qemu-server/{id}.conf"))));
        // What guests have is drawn at random.
        context.plan.guests = None;
        // A second attempt starts afresh.
        write(&context).unwrap();
        check(&context).unwrap();
        let database = pmxcfs::read(&context.on_target(DATABASE_PATH)).unwrap();
        assert!(pmxcfs::check(&database).is_empty(), "{:?}", pmxcfs::check(&database));
        insta::assert_snapshot!(pmxcfs::dump(&database));
        assert!(recorder.lines().iter().any(|line| line.starts_with("chattr +i ") && line.ends_with("/etc/pve")));
    }

    #[test]
    fn guests_of_a_node_that_joins_wait() {
        let target = tempfile::tempdir().unwrap();
        let (mut context, _) = context("reference", target.path());
        let live = proxmox_live();
        context.live = live.path().to_owned();
        context.plan.site.cluster.mode = ClusterMode::Join;
        write(&context).unwrap();
        check(&context).unwrap();
        let tree = tree(&context.plan, &guests::configurations(&context).unwrap()).unwrap();
        assert_eq!(tree.guests().count(), 0);
        let waiting = context.on_target(WAITING_GUESTS);
        let mut names: Vec<_> = std::fs::read_dir(waiting).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["101.conf", "102.conf", "103.conf", "9001.conf", "9002.conf", "9003.conf"]);
    }

    #[test]
    fn without_proxmox_nothing_of_it_is_written() {
        let target = tempfile::tempdir().unwrap();
        let (context, _) = context("reference", target.path());
        write(&context).unwrap();
        check(&context).unwrap();
        assert!(!context.on_target(MOUNT_POINT).exists() && !context.on_target(DATABASE_PATH).exists());
    }

    #[test]
    fn thick_pools_are_storages_of_thick_volumes() {
        let target = tempfile::tempdir().unwrap();
        let (mut context, _) = context("reference", target.path());
        for group in &mut context.plan.volume_groups {
            group.pool = None;
        }
        let text = storage_cfg(&storages(&context.plan)).unwrap();
        assert!(text.contains("lvm: local-lvm\n") && text.contains("lvm: bulk-lvm\n"), "{text}");
    }
}
