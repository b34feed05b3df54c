//! A machine while it is off: firmware, memory, disks and media. Switching it on makes a [`Vm`].

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cables::{Cables, End, Plug};
use crate::disk::{self, Bus, Disk, escape};
use crate::failure::OrFail;
use crate::host::{self, HostError, Lock};
use crate::line::Line;
use crate::medium::{AnswerMedium, Iso, IsoAs, Kind, LiveKernel};
use crate::timing::Lab;
use crate::vm::Vm;

/// Debian's OVMF, the 4 MiB build (package ovmf).
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// Its empty variable store.
const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// The build that can enforce Secure Boot.
const OVMF_CODE_SECURE: &str = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
/// A variable store with Microsoft's keys enrolled and Secure Boot on.
const OVMF_VARS_SECURE: &str = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd";
/// Everything QEMU can emulate, AES among it, but for `rep movsb` and `rep stosb` as the kernel's way to copy and clear memory: TCG
/// runs them byte by byte, and starting a guest takes it a quarter more CPU time (26 s and 33 s against 19 s and 25 s).
const CPU: &str = "max,erms=off,fsrm=off";
/// MAC address of the network card.
pub const MAC: &str = "52:54:00:50:56:01";
/// Port of the CD drive with the ISO; disks take ports 0 to 3.
const ISO_PORT: usize = 4;
/// Port of the CD drive with an answer medium.
const ANSWER_PORT: usize = 5;

/// What a machine starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF with a variable store of its own.
    Uefi,
    /// OVMF with Secure Boot on.
    UefiSecureBoot,
}

/// What can go wrong with a machine that is off.
#[derive(Debug, Error)]
pub enum MachineError {
    /// On the host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A disk was named that the machine does not have.
    #[error("the machine has no disk {0}; it has {1:?}")]
    NoDisk(String, Vec<String>),
}

#[derive(Debug, Clone)]
struct Slot {
    disk: Disk,
    file: PathBuf,
    present: bool,
}

/// A machine that is off.
#[derive(Debug)]
pub struct Machine {
    pub(crate) lab: Lab,
    firmware: Firmware,
    memory_mib: u32,
    cpus: u32,
    slots: Vec<Slot>,
    vars: Option<PathBuf>,
    iso: IsoAs,
    /// Another image than the ISO under test.
    image: Option<PathBuf>,
    keyboard: bool,
    /// The serial line, where it is not a perfect one.
    line: Option<Line>,
    /// Socket of the port that a guest agent listens on.
    agent: Option<PathBuf>,
    /// Model of the network card.
    card: &'static str,
    cables: Vec<Plug>,
    answers: Vec<AnswerMedium>,
    kernel: Option<(LiveKernel, String)>,
    /// Port of the host that leads to the guest's SSH server, where there is a network.
    ssh_port: Option<(u16, Lock)>,
    runs: u32,
}

impl Machine {
    /// A machine without disks: 2 vCPUs, 2 GiB, no network.
    #[track_caller]
    pub fn new(lab: &Lab, firmware: Firmware) -> Self {
        let vars = match firmware {
            Firmware::Bios => None,
            Firmware::Uefi => Some(OVMF_VARS),
            Firmware::UefiSecureBoot => Some(OVMF_VARS_SECURE),
        };
        let vars = vars.map(|template| copy_vars(lab, Path::new(template)).or_fail());
        Self {
            lab: lab.clone(),
            firmware,
            memory_mib: 2048,
            cpus: 2,
            slots: Vec::new(),
            vars,
            iso: IsoAs::Absent,
            image: None,
            keyboard: false,
            line: None,
            agent: None,
            card: "e1000e",
            cables: Vec::new(),
            answers: Vec::new(),
            kernel: None,
            ssh_port: None,
            runs: 0,
        }
    }

    /// The disks of the reference machine: NVME0001, NVME0002 and HDD00001 to HDD00004, all empty.
    #[must_use]
    #[track_caller]
    pub fn reference_disks(mut self) -> Self {
        for number in 1..=2 {
            self = self.disk(Disk::reference_nvme(number));
        }
        for number in 1..=4 {
            self = self.disk(Disk::reference_hdd(number));
        }
        self
    }

    /// Adds an empty disk.
    #[must_use]
    #[track_caller]
    pub fn disk(mut self, disk: Disk) -> Self {
        let file = self.file_for(&disk);
        disk::create(&file, disk.size_bytes).or_fail();
        self.slots.push(Slot { disk, file, present: true });
        self
    }

    /// Adds a disk that starts as the contents of an image (of `format` qcow2 or raw), which is not changed.
    #[must_use]
    #[track_caller]
    pub fn disk_over(mut self, disk: Disk, backing: &Path, format: &str) -> Self {
        let file = self.file_for(&disk);
        disk::create_overlay(&file, backing, format).or_fail();
        self.slots.push(Slot { disk, file, present: true });
        self
    }

    /// Sets the memory, in MiB.
    #[must_use]
    pub fn memory_mib(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// Adds a network card on a network of its own, 192.0.2.0/24 with the host at .1: the machine reaches nothing else, and is
    /// reached by SSH at .10 alone, through [`Self::ssh_port`].
    #[must_use]
    #[track_caller]
    pub fn network(mut self) -> Self {
        self.ssh_port = Some(host::port().or_fail());
        self
    }

    /// As [`Self::network`], with the paravirtual card that virtual machines have.
    #[must_use]
    #[track_caller]
    pub fn paravirtual_network(mut self) -> Self {
        self.card = "virtio-net-pci";
        self.network()
    }

    /// Adds a paravirtual network card for each of these cables to another machine.
    #[must_use]
    pub fn plug_in(mut self, cables: &Cables, end: End) -> Self {
        self.cables = cables.plugs(end);
        self
    }

    /// Port of 127.0.0.1 that leads to the machine's SSH server, where it has a network.
    pub fn ssh_port(&self) -> Option<u16> {
        self.ssh_port.as_ref().map(|(port, _)| *port)
    }

    /// Attaches or removes the ISO; where it is attached, the firmware starts it first.
    pub fn iso(&mut self, iso: IsoAs) -> &mut Self {
        self.iso = iso;
        self
    }

    /// Attaches this image wherever the ISO under test would be attached: a changed copy of it.
    pub fn iso_image(&mut self, path: &Path) -> &mut Self {
        self.image = Some(path.to_owned());
        self
    }

    /// Adds a USB keyboard, as a server's BMC has one, for [`Vm::press`].
    pub fn keyboard(&mut self) -> &mut Self {
        self.keyboard = true;
        self
    }

    /// Gives the serial console a line of this quality, which can be cut ([`crate::Console::cable`]).
    pub fn line(&mut self, line: Line) -> &mut Self {
        self.line = Some(line);
        self
    }

    /// Adds the port of a guest agent, as Proxmox VE does with `agent: enabled=1`; what it is asked goes through [`crate::agent`].
    pub fn agent(&mut self) -> PathBuf {
        let socket = self.lab.work().join("agent.sock");
        self.agent = Some(socket.clone());
        socket
    }

    /// Attaches an answer medium.
    pub fn answer(&mut self, medium: &AnswerMedium) -> &mut Self {
        self.answers.push(medium.clone());
        self
    }

    /// Removes the ISO and all answer media: what is left is the machine as it would stand in a rack.
    pub fn eject_all(&mut self) -> &mut Self {
        self.answers.clear();
        self.kernel = None;
        self.iso(IsoAs::Absent)
    }

    /// Starts the kernel of the ISO (of [`Self::iso_image`], if that was called before) directly, with `append` on its command line after what the medium needs.
    #[track_caller]
    pub fn live_kernel(&mut self, append: &str) -> &mut Self {
        let iso = self.image.as_deref().map_or_else(Iso::find, Iso::of).or_fail();
        self.kernel = Some((iso.live_kernel().or_fail(), append.to_owned()));
        self.iso(IsoAs::Cdrom)
    }

    /// Takes a disk out, by serial number.
    #[track_caller]
    pub fn take_out(&mut self, serial: &str) -> &mut Self {
        self.slot(serial).or_fail().present = false;
        self
    }

    /// Puts a disk back, by serial number.
    #[track_caller]
    pub fn put_back(&mut self, serial: &str) -> &mut Self {
        self.slot(serial).or_fail().present = true;
        self
    }

    /// Image file of a disk, by serial number.
    #[track_caller]
    pub fn image(&mut self, serial: &str) -> PathBuf {
        self.slot(serial).or_fail().file.clone()
    }

    /// SHA-256 of every disk's image file, in the order of the disks: equal before and after means that no byte, not even of the
    /// image's own tables, was written.
    #[track_caller]
    pub fn image_hashes(&self) -> Vec<(String, String)> {
        self.slots.iter().map(|slot| (slot.disk.serial.clone(), host::sha256(&slot.file).or_fail())).collect()
    }

    /// Image files of all disks.
    pub fn images(&self) -> Vec<PathBuf> {
        self.slots.iter().map(|slot| slot.file.clone()).collect()
    }

    /// Firmware variables, where it has some.
    pub fn vars(&self) -> Option<&Path> {
        self.vars.as_deref()
    }

    pub(crate) fn set_vars(&mut self, from: &Path) -> Result<(), HostError> {
        self.vars = Some(copy_vars(&self.lab, from)?);
        Ok(())
    }

    /// Switches it on; `label` names the run among the artifacts. Waits for its turn if too many machines are running.
    #[track_caller]
    pub fn power_on(&mut self, label: &str) -> Vm {
        self.runs += 1;
        let label = format!("{}-{label}", self.runs);
        let arguments = self.arguments().or_fail();
        Vm::start(&self.lab, &label, &arguments, self.line).or_fail()
    }

    fn slot(&mut self, serial: &str) -> Result<&mut Slot, MachineError> {
        let serials = self.slots.iter().map(|slot| slot.disk.serial.clone()).collect();
        let no_disk = || MachineError::NoDisk(serial.to_owned(), serials);
        self.slots.iter_mut().find(|slot| slot.disk.serial == serial).ok_or_else(no_disk)
    }

    fn file_for(&self, disk: &Disk) -> PathBuf {
        self.lab.work().join(format!("{}.qcow2", disk.serial))
    }

    fn arguments(&self) -> Result<Vec<String>, MachineError> {
        let secure = self.firmware == Firmware::UefiSecureBoot;
        let mut args: Vec<String> = ["-nodefaults", "-no-user-config", "-display", "none", "-vga", "std", "-machine"]
            .map(str::to_owned)
            .to_vec();
        args.push(format!("q35,smm={}", if secure { "on" } else { "off" }));
        args.extend(["-accel", &accelerator(), "-cpu", CPU, "-rtc", "base=utc", "-no-reboot"].map(str::to_owned));
        args.extend(["-smp".to_owned(), self.cpus.to_string(), "-m".to_owned(), self.memory_mib.to_string()]);
        if secure {
            args.extend(["-global", "driver=cfi.pflash01,property=secure,value=on"].map(str::to_owned));
        }
        if let Some(vars) = &self.vars {
            let code = if secure { OVMF_CODE_SECURE } else { OVMF_CODE };
            args.extend(["-drive".to_owned(), format!("if=pflash,unit=0,format=raw,readonly=on,file={code}")]);
            args.extend(["-drive".to_owned(), format!("if=pflash,unit=1,format=raw,file={}", escape(vars))]);
        }
        args.extend(
            ["-device", "qemu-xhci,id=xhci,addr=0x5", "-device", "virtio-scsi-pci,id=scsi0,addr=0x6"]
                .map(str::to_owned),
        );
        if self.keyboard {
            args.extend(["-device", "usb-kbd,bus=xhci.0"].map(str::to_owned));
        }
        if let Some(socket) = &self.agent {
            let socket = escape(socket);
            args.extend(["-chardev".to_owned(), format!("socket,id=agent,path={socket},server=on,wait=off")]);
            args.extend(
                [
                    "-device",
                    "virtio-serial-pci,addr=0x8",
                    "-device",
                    "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
                ]
                .map(str::to_owned),
            );
        }
        if let Some(port) = self.ssh_port() {
            args.push("-netdev".to_owned());
            args.push(format!(
                "user,id=net0,restrict=on,net=192.0.2.0/24,host=192.0.2.1,dhcpstart=192.0.2.10,\
                 hostfwd=tcp:127.0.0.1:{port}-192.0.2.10:22"
            ));
            // Without an option ROM the firmware does not try to boot from it.
            args.extend(["-device".to_owned(), format!("{},netdev=net0,mac={MAC},addr=0x7,romfile=", self.card)]);
        } else {
            args.extend(["-nic", "none"].map(str::to_owned));
        }
        args.extend(self.cables.iter().flat_map(Plug::arguments));
        self.add_disks(&mut args);
        self.add_media(&mut args)?;
        if let Some((live, append)) = &self.kernel {
            args.extend(["-kernel".to_owned(), live.kernel.to_string_lossy().into_owned()]);
            args.extend(["-initrd".to_owned(), live.initrd.to_string_lossy().into_owned()]);
            args.extend(["-append".to_owned(), format!("sovereign.medium={} {append}", live.build_id)]);
        }
        Ok(args)
    }

    fn add_disks(&self, args: &mut Vec<String>) {
        let mut places: Vec<(Bus, usize)> = Vec::new();
        for (order, slot) in self.slots.iter().enumerate() {
            let place = places.iter().filter(|(bus, _)| *bus == slot.disk.bus).count();
            places.push((slot.disk.bus, place));
            if slot.present {
                // SeaBIOS starts the first disk of its order only. OVMF is left to its variables and the removable path.
                let boot = (self.firmware == Firmware::Bios).then_some(order + 1);
                args.extend(slot.disk.arguments(&slot.file, place, boot));
            }
        }
    }

    fn add_media(&self, args: &mut Vec<String>) -> Result<(), MachineError> {
        match self.iso {
            IsoAs::Absent => {}
            IsoAs::Cdrom => {
                let path = self.iso_path()?;
                // With a kernel of its own the machine needs no boot order.
                args.extend(cdrom("iso", &path, ISO_PORT, self.kernel.is_none()));
            }
            IsoAs::UsbDisk => {
                let stick = Disk::new(Bus::Usb, "STICK0001", 0).removable();
                let file = self.usb_copy();
                if !file.exists() {
                    disk::create_overlay(&file, &self.iso_path()?, "raw")?;
                }
                args.extend(stick.arguments(&file, 0, self.kernel.is_none().then_some(0)));
            }
        }
        for (n, medium) in self.answers.iter().enumerate() {
            match medium.kind {
                Kind::Iso9660 => args.extend(cdrom(&format!("answer{n}"), &medium.path, ANSWER_PORT, false)),
                Kind::Fat => args.extend([
                    "-blockdev".to_owned(),
                    format!("driver=raw,node-name=answer{n},file.driver=file,file.filename={}", escape(&medium.path)),
                    "-device".to_owned(),
                    format!("usb-storage,bus=xhci.0,drive=answer{n},serial=ANSWER{n:04},removable=on"),
                ]),
            }
        }
        Ok(())
    }

    fn iso_path(&self) -> Result<PathBuf, HostError> {
        self.image.clone().map_or_else(|| Iso::find().map(|iso| iso.path), Ok)
    }

    /// The writable copy of the ISO that stands in for a USB stick.
    pub fn usb_copy(&self) -> PathBuf {
        self.lab.work().join("STICK0001.qcow2")
    }
}

/// Both processors in one thread of the host. With a thread for each (`SOVEREIGN_TCG_THREADS=multi`, for benchmarks) a machine alone on
/// the host is a third faster, but one processor may still run code that the kernel on the other has patched: `Oops: int3` while a
/// static key is switched, QEMU 7.2, once in some fifty starts.
fn accelerator() -> String {
    let threads = std::env::var("SOVEREIGN_TCG_THREADS").unwrap_or_else(|_| "single".to_owned());
    format!("tcg,thread={threads}")
}

fn cdrom(id: &str, path: &Path, port: usize, boot: bool) -> [String; 4] {
    let boot = if boot { ",bootindex=0" } else { "" };
    [
        "-blockdev".to_owned(),
        format!("driver=raw,node-name={id},read-only=on,file.driver=file,file.filename={}", escape(path)),
        "-device".to_owned(),
        format!("ide-cd,bus=ide.{port},drive={id}{boot}"),
    ]
}

fn copy_vars(lab: &Lab, from: &Path) -> Result<PathBuf, HostError> {
    let to = lab.work().join("firmware-variables.fd");
    std::fs::copy(from, &to)
        .map_err(|source| HostError::file("copy firmware variables (package ovmf) from", from, source))?;
    Ok(to)
}
