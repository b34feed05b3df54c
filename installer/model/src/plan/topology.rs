//! The layers as a picture for people: one column a pool, disks at the bottom, what guests get at the top. 80 columns.

use crate::bytes::Bytes;
use crate::plan::tree::{Charset, printable};
use crate::plan::{Base, Container, PartitionRole, Plan, PlannedDisk, Pool, RaidLevel, VolumeGroup};
use crate::site::Redundancy;

/// Characters between the left and right edge of a box; two boxes and a gap of two make 80 columns.
const INNER: usize = 37;

/// A box: layers from the top, each some lines.
type Column = Vec<Vec<String>>;

impl Plan {
    /// [`Plan::topology_in`] box drawing characters.
    pub fn topology(&self) -> String {
        self.topology_in(Charset::Unicode)
    }

    /// The picture, at most 80 columns wide, with a new line at the end of each line.
    pub fn topology_in(&self, charset: Charset) -> String {
        let columns: Vec<Vec<String>> =
            Pool::ALL.into_iter().filter_map(|pool| self.column(pool)).map(|column| draw(&column, charset)).collect();
        // Columns stand on a common floor: the shorter one starts lower.
        let height = columns.iter().map(Vec::len).max().unwrap_or(0);
        let mut out = String::new();
        for row in 0..height {
            let cells: Vec<String> = columns
                .iter()
                .map(|lines| match (row + lines.len()).checked_sub(height) {
                    Some(at) => lines[at].clone(),
                    None => " ".repeat(INNER + 2),
                })
                .collect();
            out.push_str(cells.join("  ").trim_end());
            out.push('\n');
        }
        printable(&out, charset)
    }

    fn column(&self, pool: Pool) -> Option<Column> {
        let container = self.containers.iter().find(|container| self.pool_of(container) == Some(pool))?;
        let group = self.volume_groups.iter().find(|group| group.container == container.name)?;
        let disks: Vec<_> = self.disks.iter().filter(|disk| disk.pool == pool).collect();
        let mut column = vec![
            self.shares(group),
            vec![row(&format!("volume group {}", group.name), group.extent.0.saturating_mul(group.extents))],
            vec![row(&format!("LUKS2 {}", container.name), container.size.0)],
            vec![self.base_row(pool, container)?],
        ];
        if pool == Pool::Ssd {
            column.push(self.boot_rows(&disks)?);
        }
        column.push(
            disks
                .iter()
                .map(|disk| {
                    let name = disk.id.serial.as_ref().or(disk.id.wwn.as_ref()).unwrap_or(&disk.kernel_name);
                    row(&format!("{} {name}", disk.kernel_name), disk.id.size.0)
                })
                .collect(),
        );
        Some(column)
    }

    /// Where /boot is, and the EFI system partitions.
    fn boot_rows(&self, disks: &[&PlannedDisk]) -> Option<Vec<String>> {
        if let Some(array) = self.arrays.iter().find(|array| array.name == "boot") {
            let boot = row("beside it: /boot, RAID 1", array.size.0);
            return Some(vec![boot, "and an EFI system partition a disk".to_owned()]);
        }
        let boot = disks.iter().flat_map(|disk| &disk.partitions).find(|p| p.role == PartitionRole::Boot)?;
        Some(vec![row("beside it: /boot", boot.size.0), "and an EFI system partition".to_owned()])
    }

    /// What the container stands on, and what is not safe about it.
    fn base_row(&self, pool: Pool, container: &Container) -> Option<String> {
        match &container.base {
            Base::Array(name) => {
                let array = self.arrays.iter().find(|array| array.name == *name)?;
                let level = match array.level {
                    RaidLevel::Raid1 => "RAID 1",
                    RaidLevel::Raid10 { .. } => "RAID 10",
                };
                Some(row(&format!("{level} {}", array.name), array.size.0))
            }
            Base::Partition(_) => {
                let what = match self.redundancy(pool)? {
                    Redundancy::None => "NO RAID, UNSAFE",
                    Redundancy::Hardware | Redundancy::Array => "hardware RAID, one volume",
                };
                Some(row(what, container.offset.0.saturating_add(container.size.0)))
            }
        }
    }

    /// What the volume group is cut into, and what guests get of it.
    fn shares(&self, group: &VolumeGroup) -> Vec<String> {
        let bytes = |extents: u64| group.extent.0.saturating_mul(extents);
        let mut lines: Vec<_> =
            group.volumes.iter().map(|volume| row(&format!("volume {}", volume.name), bytes(volume.extents))).collect();
        let guests = self.guests.iter().flat_map(|guests| &guests.guests).filter_map(|guest| {
            let on_group = guest.volumes.iter().filter(|volume| volume.group == group.name);
            let extents: u64 = on_group.map(|volume| volume.extents).sum();
            (extents > 0).then(|| row(&format!("  {}", guest.role), bytes(extents)))
        });
        if let Some(pool) = &group.pool {
            lines.push(row(&format!("thin pool {}", pool.name), bytes(pool.extents)));
            lines.extend(guests);
            lines.push(row("its metadata and spare", bytes(pool.metadata_extents.saturating_mul(2))));
            lines.extend((group.free_extents > 0).then(|| row("reserve", bytes(group.free_extents))));
        } else {
            lines.extend((group.free_extents > 0).then(|| row("unallocated", bytes(group.free_extents))));
            lines.extend(guests);
        }
        lines
    }
}

/// A name at the left and a size at the right, [`INNER`] less two blanks wide; a name that is too long loses its end.
fn row(name: &str, bytes: u64) -> String {
    let size = Bytes(bytes).to_string();
    let width = INNER - 2 - size.len() - 1;
    let name: String = printable(name, Charset::Unicode).replace('\n', "?").chars().take(width).collect();
    format!("{name:<width$} {size}")
}

fn draw(column: &Column, charset: Charset) -> Vec<String> {
    let ([top_left, top_right, left, right, bottom_left, bottom_right], across, down) = match charset {
        Charset::Unicode => (["┌", "┐", "├", "┤", "└", "┘"], "─", "│"),
        Charset::Ascii => (["+"; 6], "-", "|"),
    };
    let rule = |left: &str, right: &str| format!("{left}{}{right}", across.repeat(INNER));
    let mut lines = vec![rule(top_left, top_right)];
    for (i, layer) in column.iter().enumerate() {
        if i > 0 {
            lines.push(rule(left, right));
        }
        lines.extend(layer.iter().map(|text| format!("{down} {text:<width$} {down}", width = INNER - 2)));
    }
    lines.push(rule(bottom_left, bottom_right));
    lines
}
