//! Hardware: the machine as the probe saw it.

use sovereign_model::inventory::{Correction, Firmware, Inventory, Nic};
use sovereign_model::memory_encryption::{MemoryEncryption, State};
use sovereign_model::site::Draft;

use crate::cmd::Cmd;
use crate::flow::Place;
use crate::keys::Press;
use crate::page::{Page, line, spans, wrapped};
use crate::screens::reader::Reader;
use crate::screens::{Go, Outcome, Room};
use crate::state::Known;
use crate::theme::{Theme, Tone};

pub(crate) const HELP: &str = "\
What the installer found in this machine. Compare it with what you ordered: memory, processors, disks and network interfaces.

`r` looks again, such as after a cable was plugged in or a disk was attached. Disks that need a moment to appear are found then.

Memory encryption keeps whoever takes the memory modules out, or reads them on their way, from finding the disks' keys there. m changes what its absence leads to: warn says it in \
the plan, require refuses to install, ignore accepts it.

Nothing is written here, and nothing is measured that would wear a disk.";

/// See the module.
#[derive(Debug)]
pub(crate) struct Hardware {
    reader: Reader,
}

impl Hardware {
    pub fn new() -> Self {
        Self { reader: Reader::new(true) }
    }

    pub fn press(&mut self, press: Press, known: &mut Known, theme: Theme, room: Room) -> Outcome {
        if press == Press::Char('r') && known.inventory.is_some() {
            known.inventory = None;
            return Outcome::cmd(Cmd::Probe);
        }
        if press == Press::Char('m') && known.machine().is_some() {
            next_policy(&mut known.draft);
            return Outcome::go(Go::Stay);
        }
        let outcome = self.reader.press(press, room, |reader| page(reader, known, theme, room));
        if outcome.go == Go::Next && known.machine().is_none() {
            return Outcome::bad("the machine is not known yet: wait a moment, or look again with r");
        }
        outcome
    }

    pub fn page(&self, known: &Known, theme: Theme, room: Room) -> Page {
        page(&self.reader, known, theme, room)
    }
}

fn page(reader: &Reader, known: &Known, theme: Theme, room: Room) -> Page {
    let mut keys = reader.hints();
    keys.splice(0..0, [("r", "look again"), ("m", "policy")]);
    let mut page = Page { title: Place::Hardware.title().to_owned(), keys, ..Page::default() };
    match &known.inventory {
        None => page.body.push(line(theme, Tone::Plain, "Looking at the machine ...")),
        Some(Err(error)) => {
            page.body.push(line(theme, Tone::Bad, "! The machine could not be looked at:"));
            page.body.extend(wrapped(theme, Tone::Plain, error, room.width, 2));
        }
        Some(Ok(inventory)) => report(inventory, policy(&known.draft), theme, room, &mut page),
    }
    reader.show(&mut page, theme);
    page
}

fn report(inventory: &Inventory, policy: &str, theme: Theme, room: Room, page: &mut Page) {
    let row = |name: &str, text: String| spans(theme, [(Tone::Plain, format!("{name:<11}")), (Tone::Accent, text)]);
    let machine = format!("{} {}", inventory.machine.vendor, inventory.machine.product);
    let firmware = match inventory.firmware {
        Firmware::Bios => "BIOS",
        Firmware::Uefi { secure_boot: Some(true) } => "UEFI, Secure Boot on",
        Firmware::Uefi { secure_boot: Some(false) } => "UEFI, Secure Boot off",
        Firmware::Uefi { secure_boot: None } => "UEFI",
    };
    let named = |text: &str| if text.trim().is_empty() { "unknown".to_owned() } else { text.trim().to_owned() };
    page.body.push(row("Machine", named(&machine)));
    page.body.push(row("Processor", format!("{}, {} threads", named(&inventory.cpu.model), inventory.cpu.threads)));
    let ecc = inventory.ecc.as_ref().map_or("", |ecc| correction(ecc.correction));
    page.body.push(row("Memory", format!("{}{ecc}", inventory.memory)));
    memory(inventory.memory_encryption.as_ref(), policy, theme, room, page);
    page.body.push(row("Firmware", firmware.to_owned()));
    page.body.push(row("TPM 2.0", if inventory.tpm2 { "present" } else { "none" }.to_owned()));
    page.body.push(row("Kernel", inventory.kernel.clone()));
    page.body.push(line(theme, Tone::Plain, ""));
    page.body.push(line(theme, Tone::Heading, "Network interfaces"));
    if inventory.nics.is_empty() {
        page.body.push(line(theme, Tone::Warn, "  none: check the card, and whether its driver is in this kernel"));
    }
    page.body.extend(inventory.nics.iter().map(|nic| line(theme, Tone::Plain, format!("  {}", nic_text(nic)))));
    page.body.push(line(theme, Tone::Plain, ""));
    page.body.push(line(theme, Tone::Heading, "Disks"));
    if inventory.disks.is_empty() {
        let text =
            "  none: check power and cabling, and the controller's mode in the firmware setup (AHCI or HBA, not RAID)";
        page.body.extend(wrapped(theme, Tone::Bad, text, room.width, 2));
    }
    let mut disks: Vec<_> = inventory.disks.iter().collect();
    disks.sort_by_key(|disk| (disk.rotational, std::cmp::Reverse(disk.size), &disk.serial, &disk.kernel_name));
    for disk in disks {
        let text = crate::screens::disk_text(disk, room.width.saturating_sub(2));
        page.body.push(line(theme, Tone::Plain, format!("  {text}")));
        if let Some((tone, text)) = crate::screens::state_text(disk) {
            page.body.extend(wrapped(theme, tone, &format!("            {text}"), room.width, 0));
        }
    }
}

/// Error correction of the memory, as the end of its line.
fn correction(correction: Correction) -> &'static str {
    match correction {
        Correction::None => ", without ECC",
        Correction::Detection => ", notices errors and corrects none",
        Correction::SingleBit => ", ECC",
        Correction::MultiBit => ", ECC of several bits",
    }
}

/// What a site wants of memory encryption, in the order `m` goes through.
const POLICIES: [&str; 3] = ["warn", "require", "ignore"];

fn policy(draft: &Draft) -> &'static str {
    let said = draft.text("memory_encryption.policy").unwrap_or_default();
    POLICIES.into_iter().find(|policy| *policy == said).unwrap_or(POLICIES[0])
}

fn next_policy(draft: &mut Draft) {
    let at = POLICIES.iter().position(|policy| *policy == self::policy(draft)).unwrap_or(0);
    draft.set("memory_encryption.policy", POLICIES[(at + 1) % POLICIES.len()]);
}

/// The verdict on memory encryption, and what to do where there is none.
fn memory(found: Option<&MemoryEncryption>, policy: &str, theme: Theme, room: Room, page: &mut Page) {
    let state = found.map_or(State::Unknown, |found| found.state);
    let (tone, mark) = if state.is_active() { (Tone::Good, "") } else { (Tone::Warn, "! ") };
    let words = found.map_or("not looked at", |found| found.state.name());
    let guest = if found.is_some_and(|found| found.virtualised) { ", in a virtual machine" } else { "" };
    let text = format!("{mark}encryption {words}{guest}   (policy: {policy})");
    page.body.push(spans(theme, [(Tone::Plain, " ".repeat(11)), (tone, text)]));
    if let Some(found) = found.filter(|found| !found.state.is_active()) {
        for text in crate::page::wrap(&found.advice, room.width.saturating_sub(13), 0) {
            page.body.push(line(theme, Tone::Dim, format!("             {text}")));
        }
    }
}

/// `enp3s0     52:54:00:12:34:56  igb    link, 1 Gbit/s`
pub(crate) fn nic_text(nic: &Nic) -> String {
    let link = match (nic.link, nic.speed_mbps) {
        (Some(true), Some(speed)) if speed >= 1000 && speed.is_multiple_of(100) => {
            let tenths = speed % 1000 / 100;
            let tenths = if tenths > 0 { format!(".{tenths}") } else { String::new() };
            format!("link, {}{tenths} Gbit/s", speed / 1000)
        }
        (Some(true), Some(speed)) => format!("link, {speed} Mbit/s"),
        (Some(true), None) => "link".to_owned(),
        (Some(false), _) => "NO LINK".to_owned(),
        (None, _) => "link unknown".to_owned(),
    };
    let driver = if nic.driver.is_empty() { "-" } else { &nic.driver };
    format!("{:<9} {}  {driver:<5}  {link}", nic.name, nic.mac)
}
