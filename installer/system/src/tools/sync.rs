//! How far arrays are with their synchronisation, as the kernel says it (Documentation/admin-guide/md.rst).

use std::fs;
use std::path::Path;

use sovereign_model::Bytes;

/// An array that is being synchronised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// Its name, from the link in /dev/md.
    pub name: String,
    /// Done, of each member.
    pub done: Bytes,
    /// Of so much.
    pub total: Bytes,
    /// Bytes a second at the moment.
    pub rate: Bytes,
}

/// The arrays with a name in `names` (/dev/md) that are being synchronised now; `sys` is /sys. What cannot be read is passed over: an array
/// may be stopped at any time.
pub fn running(names: &Path, sys: &Path) -> Vec<Sync> {
    let Ok(entries) = fs::read_dir(names) else { return Vec::new() };
    let mut syncs: Vec<Sync> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let device = fs::read_link(entry.path()).ok()?;
            let md = sys.join("class/block").join(device.file_name()?).join("md");
            let read = |file: &str| fs::read_to_string(md.join(file)).ok();
            // `none` while there is nothing to do.
            let (done, total) = read("sync_completed").and_then(|text| parse_completed(&text))?;
            // Kibibytes a second.
            let rate = read("sync_speed").and_then(|text| text.trim().parse().ok()).unwrap_or(0_u64);
            let name = entry.file_name().to_string_lossy().into_owned();
            Some(Sync { name, done, total, rate: Bytes(rate.saturating_mul(1024)) })
        })
        .collect();
    syncs.sort_by(|a, b| a.name.cmp(&b.name));
    syncs
}

/// Reads `sync_completed`, `1024 / 1019654144`, in sectors of 512 bytes.
fn parse_completed(text: &str) -> Option<(Bytes, Bytes)> {
    let (done, total) = text.trim().split_once(" / ")?;
    let bytes = |sectors: &str| sectors.parse::<u64>().ok().map(|sectors| Bytes(sectors.saturating_mul(512)));
    Some((bytes(done)?, bytes(total)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_that_synchronise_are_known_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let (names, sys) = (folder.path().join("dev-md"), folder.path().join("sys"));
        fs::create_dir(&names).unwrap();
        for (name, device, completed, speed) in
            [("ssd", "md126", "2048 / 1019654144\n", "51200\n"), ("boot", "md127", "none\n", "none\n")]
        {
            std::os::unix::fs::symlink(format!("../{device}"), names.join(name)).unwrap();
            let md = sys.join("class/block").join(device).join("md");
            fs::create_dir_all(&md).unwrap();
            fs::write(md.join("sync_completed"), completed).unwrap();
            fs::write(md.join("sync_speed"), speed).unwrap();
        }
        // An array that was stopped leaves its link for a moment.
        std::os::unix::fs::symlink("../md125", names.join("hdd")).unwrap();
        let ssd =
            Sync { name: "ssd".to_owned(), done: Bytes::mib(1), total: Bytes(522_062_921_728), rate: Bytes::mib(50) };
        assert_eq!(running(&names, &sys), [ssd]);
        assert_eq!(running(&folder.path().join("none"), &sys), []);
    }
}
