//! Virtual disks: qcow2 files of exact sizes, and how QEMU presents them.

use std::path::Path;

use crate::host::{self, HostError};

/// Size of each NVMe disk of the reference machine, in bytes (facts: storage, "to the byte").
pub const REFERENCE_NVME_BYTES: u64 = 512_110_190_592;
/// Size of each HDD of the reference machine, in bytes (same source).
pub const REFERENCE_HDD_BYTES: u64 = 6_001_175_126_016;

/// How fast a disk is read, in bytes a second. Reading a hole of an image costs QEMU nothing, so that the first synchronisation of
/// an array of empty disks would run at gigabytes a second and take both CPUs from everything else; a real disk sets the pace.
const READ_BYTES_PER_S: u64 = 48 * 1024 * 1024;

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// An NVMe controller of its own behind a hot-plug port; the model is QEMU's.
    Nvme,
    /// The chipset's AHCI controller, ports 0 to 3; 512-byte logical blocks only, never read-only.
    Sata,
    /// A virtio SCSI controller; any block size, hot-plug.
    Scsi,
    /// A volume of a RAID controller of its own (QEMU's MegaRAID).
    MegaRaid,
    /// USB mass storage.
    Usb,
    /// virtio-blk.
    Virtio,
}

/// One disk; it is named by its serial number everywhere in a test.
#[derive(Debug, Clone)]
pub struct Disk {
    pub(crate) bus: Bus,
    pub(crate) size_bytes: u64,
    pub(crate) serial: String,
    pub(crate) model: Option<String>,
    /// World wide name. Linux ignores what QEMU's NVMe disks say (NVME_QUIRK_BOGUS_NID) and makes theirs from the serial number.
    pub(crate) wwn: Option<u64>,
    /// Rotations per minute; `None` is a disk without rotating parts.
    pub(crate) rotation_rpm: Option<u16>,
    pub(crate) logical_bytes: u32,
    pub(crate) physical_bytes: u32,
    pub(crate) read_only: bool,
    pub(crate) removable: bool,
}

impl Disk {
    /// A disk without rotating parts and with blocks of 512 bytes.
    pub fn new(bus: Bus, serial: &str, size_bytes: u64) -> Self {
        Self {
            bus,
            size_bytes,
            serial: serial.to_owned(),
            model: None,
            wwn: None,
            rotation_rpm: None,
            logical_bytes: 512,
            physical_bytes: 512,
            read_only: false,
            removable: false,
        }
    }

    /// An NVMe disk of the reference machine.
    pub fn reference_nvme(number: u8) -> Self {
        Self::new(Bus::Nvme, &format!("NVME{number:04}"), REFERENCE_NVME_BYTES)
    }

    /// An HDD of the reference machine: SATA, 7200/min, 512-byte logical blocks on 4096-byte physical ones.
    pub fn reference_hdd(number: u8) -> Self {
        Self::new(Bus::Sata, &format!("HDD{number:05}"), REFERENCE_HDD_BYTES)
            .model("QEMU HDD 6TB")
            .wwn(0x5000_c500_0000_0000 + u64::from(number))
            .rotating(7200)
            .blocks(512, 4096)
    }

    /// Sets the model string (not for NVMe and virtio).
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    /// Sets the world wide name (SATA and SCSI).
    #[must_use]
    pub fn wwn(mut self, wwn: u64) -> Self {
        self.wwn = Some(wwn);
        self
    }

    /// Makes it a rotating disk (SATA and SCSI).
    #[must_use]
    pub fn rotating(mut self, rpm: u16) -> Self {
        self.rotation_rpm = Some(rpm);
        self
    }

    /// Sets logical and physical block size, in bytes.
    #[must_use]
    pub fn blocks(mut self, logical_bytes: u32, physical_bytes: u32) -> Self {
        self.logical_bytes = logical_bytes;
        self.physical_bytes = physical_bytes;
        self
    }

    /// Makes it refuse writes.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Makes it a removable medium (SCSI and USB).
    #[must_use]
    pub fn removable(mut self) -> Self {
        self.removable = true;
        self
    }

    /// Serial number.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Arguments for the image file at `path`; `place` counts the disks of one bus, `boot` is the firmware's order.
    pub(crate) fn arguments(&self, path: &Path, place: usize, boot: Option<usize>) -> Vec<String> {
        let id = &self.serial;
        let image = format!("image-{id}");
        let mut args = vec![
            "-object".to_owned(),
            format!("throttle-group,id=speed-{id},x-bps-read={READ_BYTES_PER_S}"),
            "-blockdev".to_owned(),
            blockdev(&image, path, self.read_only),
            "-blockdev".to_owned(),
            format!(
                "driver=throttle,node-name={id},throttle-group=speed-{id},read-only={},discard={},file={image}",
                if self.read_only { "on" } else { "off" },
                if self.read_only { "ignore" } else { "unmap" },
            ),
        ];
        let boot = boot.map(|index| format!(",bootindex={index}")).unwrap_or_default();
        let blocks = format!(",logical_block_size={},physical_block_size={}", self.logical_bytes, self.physical_bytes);
        let wwn = |name: &str| self.wwn.map(|wwn| format!(",{name}={wwn:#x}")).unwrap_or_default();
        let rotation = format!(",rotation_rate={}", self.rotation_rpm.unwrap_or(1));
        let name = |key: &str| self.model.as_ref().map(|model| format!(",{key}={model}")).unwrap_or_default();
        let device = match self.bus {
            Bus::Nvme => {
                // A fixed place for each, whichever is absent: 0x10 and up are free on this machine's root bus.
                args.push("-device".to_owned());
                args.push(format!(
                    "pcie-root-port,id=port-{id},bus=pcie.0,addr={:#x},chassis={},slot={}",
                    0x10 + place,
                    place + 1,
                    place + 1
                ));
                args.push("-device".to_owned());
                args.push(format!("nvme,id={id},serial={id},bus=port-{id}"));
                format!("nvme-ns,id=ns-{id},bus={id},nsid=1,drive={id}{blocks}{boot}")
            }
            Bus::Sata => format!(
                "ide-hd,id=dev-{id},bus=ide.{place},drive={id},serial={id}{}{}{rotation}{blocks}{boot}",
                name("model"),
                wwn("wwn")
            ),
            Bus::Scsi | Bus::MegaRaid => {
                let bus = if self.bus == Bus::MegaRaid {
                    args.push("-device".to_owned());
                    args.push(format!("megasas-gen2,id=raid-{id}"));
                    format!("raid-{id}.0,scsi-id=0")
                } else {
                    format!("scsi0.0,scsi-id={place}")
                };
                format!(
                    "scsi-hd,id=dev-{id},bus={bus},lun=0,drive={id},serial={id}{}{}{rotation}{blocks}{boot}{}",
                    name("product"),
                    wwn("wwn"),
                    if self.removable { ",removable=on" } else { "" }
                )
            }
            Bus::Usb => format!(
                "usb-storage,id=dev-{id},bus=xhci.0,drive={id},serial={id}{blocks}{boot},removable={}",
                if self.removable { "on" } else { "off" }
            ),
            Bus::Virtio => format!("virtio-blk-pci,id=dev-{id},drive={id},serial={id}{blocks}{boot}"),
        };
        args.push("-device".to_owned());
        args.push(device);
        args
    }

    /// The device to remove on hot-unplug.
    pub(crate) fn device_id(&self) -> String {
        match self.bus {
            Bus::Nvme => self.serial.clone(),
            _ => format!("dev-{}", self.serial),
        }
    }
}

/// A qcow2 file as a block node. Flushes are not carried to the host's disk: a power cut is an orderly `quit` of QEMU, which
/// loses nothing the guest has written.
fn blockdev(node: &str, path: &Path, read_only: bool) -> String {
    format!(
        "driver=qcow2,node-name={node},read-only={},discard=unmap,detect-zeroes={},cache.no-flush=on,file.driver=file,\
         file.filename={}",
        if read_only { "on" } else { "off" },
        if read_only { "off" } else { "unmap" },
        escape(path)
    )
}

/// A path as the value of a QEMU option: commas are doubled.
pub(crate) fn escape(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// Creates an empty image of exactly `size_bytes`.
pub fn create(path: &Path, size_bytes: u64) -> Result<(), HostError> {
    host::create_parent(path)?;
    let size = size_bytes.to_string();
    host::run("qemu-img", &["create", "-q", "-f", "qcow2", &path.to_string_lossy(), &size]).map(drop)
}

/// Creates an image that starts as the contents of `backing` (of `format` qcow2 or raw) and leaves it as it is.
pub fn create_overlay(path: &Path, backing: &Path, format: &str) -> Result<(), HostError> {
    host::create_parent(path)?;
    host::run(
        "qemu-img",
        &["create", "-q", "-f", "qcow2", "-F", format, "-b", &backing.to_string_lossy(), &path.to_string_lossy()],
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_nvme_disk_keeps_its_place_and_its_name() {
        let args = Disk::reference_nvme(2).arguments(Path::new("/tmp/a,b.qcow2"), 1, Some(3));
        assert!(args[3].ends_with("file.filename=/tmp/a,,b.qcow2"), "{}", args[3]);
        assert_eq!(args[7], "pcie-root-port,id=port-NVME0002,bus=pcie.0,addr=0x11,chassis=2,slot=2");
        assert_eq!(
            args[11],
            "nvme-ns,id=ns-NVME0002,bus=NVME0002,nsid=1,drive=NVME0002,logical_block_size=512,physical_block_size=512,bootindex=3"
        );
    }

    #[test]
    fn an_hdd_rotates() {
        let args = Disk::reference_hdd(1).arguments(Path::new("/d"), 0, None);
        assert_eq!(
            args[7],
            "ide-hd,id=dev-HDD00001,bus=ide.0,drive=HDD00001,serial=HDD00001,model=QEMU HDD 6TB,wwn=0x5000c50000000001,\
             rotation_rate=7200,logical_block_size=512,physical_block_size=4096"
        );
    }
}
