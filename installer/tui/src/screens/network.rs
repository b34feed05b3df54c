//! Network: the interface, the host's addresses, and those of the machines.

use sovereign_model::role::{Catalogue, Network as Net, Role};

use crate::flow::{self, Place};
use crate::form::{Act, Form, Row};
use crate::keys::Press;
use crate::page::{Page, wrapped};
use crate::screens::hardware::nic_text;
use crate::screens::{Go, Outcome, Room};
use crate::state::Known;
use crate::theme::{Theme, Tone};

pub(crate) const HELP: &str = "\
The chosen interface carries the management address and, as uplink of the bridge vmbr0, the public side of edge. vmbr1 is the internal network of host and machines; it has \
no uplink.

Take the interface with a link. It is remembered by its MAC address, so its name may change.

Addresses are written with their prefix length: 192.0.2.10/24. Several name servers are separated by blanks.

Nothing is tried out here: no packet is sent before the machine starts by itself.";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Interface,
    Mode,
    Address,
    Gateway,
    Dns,
    Bridge,
    Internal,
    MachineGateway,
    /// Of the role with this index.
    RoleInternal(usize),
    RolePublic(usize),
    RoleGateway(usize),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Network {
    form: Form<Ask>,
    /// What a plan said against the interface when one came here.
    against: Option<String>,
}

fn roles() -> &'static [Role] {
    Catalogue::shipped().map_or(&[][..], Catalogue::roles)
}

impl Network {
    pub fn new(known: &Known) -> Self {
        Self { form: Form::new(rows(known)), against: refusal(known) }
    }

    pub fn press(&mut self, press: Press, known: &mut Known) -> Outcome {
        match self.form.press(press) {
            Act::Changed(ask) => {
                self.against = None;
                self.write(known);
                if ask == Ask::Mode {
                    self.form.replace(rows(known));
                }
                // While somebody types, an address is not whole: what is wrong is said when it is left, and gone once it is right.
                self.look(known, |row, wrong| row.is_some() && wrong);
            }
            Act::Next => {
                self.write(known);
                self.look(known, |_, wrong| wrong);
                if self.form.focus_on_error() {
                    return Outcome::bad("something here is missing or wrong: see what is marked");
                }
                if let Some(reason) = refusal(known) {
                    self.form.focus_on(Ask::Interface);
                    return Outcome::bad(reason);
                }
                return Outcome::go(Go::Next);
            }
            Act::Back => {
                self.write(known);
                return Outcome::go(Go::Back);
            }
            Act::None | Act::Pressed(_) | Act::Unknown => {}
        }
        Outcome::go(Go::Stay)
    }

    /// Puts what is wrong beside the rows. `said`: whether it is to be said, by what was said of the row before, and whether something is wrong.
    fn look(&mut self, known: &Known, said: impl Fn(&Option<String>, bool) -> bool) {
        let problems = known.problems();
        for row in &mut self.form.rows {
            let path = path(row.id);
            let problem = problems.iter().find(|problem| problem.about.path == path);
            let shown = said(&row.error, problem.is_some());
            row.error = problem.filter(|_| shown).map(|problem| {
                if problem.is_missing() {
                    "is needed".to_owned()
                } else {
                    format!("{}: {}", problem.message, problem.hint)
                }
            });
        }
    }

    fn write(&self, known: &mut Known) {
        let macs: Vec<String> =
            known.machine().map(|machine| machine.nics.iter().map(|nic| nic.mac.clone()).collect()).unwrap_or_default();
        let draft = &mut known.draft;
        if let Some(mac) = macs.get(self.form.chosen(Ask::Interface)) {
            draft.remove("network.interface");
            draft.set("network.mac", mac.as_str());
        }
        let is_static = self.form.chosen(Ask::Mode) == 0;
        draft.set("network.mode", if is_static { "static" } else { "dhcp" });
        draft.set("network.bridge", ["linux", "open-vswitch"][self.form.chosen(Ask::Bridge).min(1)]);
        if is_static {
            if self.form.row(Ask::Address).is_some() {
                draft.set_text("network.address", &self.form.value(Ask::Address));
                draft.set_text("network.gateway", &self.form.value(Ask::Gateway));
                let servers = self.form.value(Ask::Dns);
                let servers: Vec<&str> = servers.split([' ', ',']).filter(|server| !server.is_empty()).collect();
                if servers.is_empty() { draft.remove("network.dns") } else { draft.set("network.dns", servers) }
            }
        } else {
            for key in ["address", "gateway", "dns"] {
                draft.remove(&format!("network.{key}"));
            }
        }
        let texts: Vec<(Ask, String)> = self.form.rows.iter().map(|row| (row.id, path(row.id))).collect();
        for (ask, path) in texts {
            if matches!(
                ask,
                Ask::Internal | Ask::MachineGateway | Ask::RoleInternal(_) | Ask::RolePublic(_) | Ask::RoleGateway(_)
            ) {
                draft.set_text(&path, &self.form.value(ask));
            }
        }
    }

    pub fn is_typing(&self) -> bool {
        self.form.is_typing()
    }

    pub fn page(&self, known: &Known, theme: Theme, room: Room) -> Page {
        let mut page = Page { title: Place::Network.title().to_owned(), keys: self.form.hints(), ..Page::default() };
        if known.machine().is_some_and(|machine| machine.nics.is_empty()) {
            let text = "! This machine has no network interface: check the card, and whether its driver is in this kernel. It can be installed \
                        without one.";
            page.body.extend(wrapped(theme, Tone::Warn, text, room.width, 2));
        }
        if let Some(why) = &self.against {
            page.body.extend(wrapped(theme, Tone::Warn, &format!("! {why}"), room.width, 2));
            page.body.push(ratatui::text::Line::default());
        }
        self.form.show(&mut page, theme, room.width, false);
        page
    }
}

/// What a plan says against the interface, once everything else is answered.
fn refusal(known: &Known) -> Option<String> {
    let refusal = known.plan()?.err()?;
    refusal.reasons.iter().find(|reason| flow::about(reason) == Place::Network).map(ToString::to_string)
}

fn path(ask: Ask) -> String {
    let role = |index: usize, key: &str| {
        let name = roles().get(index).map(|role| role.name.to_string()).unwrap_or_default();
        format!("guests.roles.{name}.{key}")
    };
    match ask {
        Ask::Interface => "network.mac".to_owned(),
        Ask::Mode => "network.mode".to_owned(),
        Ask::Address => "network.address".to_owned(),
        Ask::Gateway => "network.gateway".to_owned(),
        Ask::Dns => "network.dns".to_owned(),
        Ask::Bridge => "network.bridge".to_owned(),
        Ask::Internal => "network.internal_address".to_owned(),
        Ask::MachineGateway => "guests.internal_gateway".to_owned(),
        Ask::RoleInternal(index) => role(index, "internal_address"),
        Ask::RolePublic(index) => role(index, "public_address"),
        Ask::RoleGateway(index) => role(index, "public_gateway"),
    }
}

fn rows(known: &Known) -> Vec<Row<Ask>> {
    let draft = &known.draft;
    let text = |ask, label: &str, note: &str| Row::text(ask, label, draft.text(&path(ask)), note);
    let mut rows = Vec::new();
    let nics = known.machine().map_or(&[][..], |machine| &machine.nics);
    if !nics.is_empty() {
        let mac = draft.text("network.mac").map(|mac| mac.replace('-', ":").to_ascii_lowercase());
        let by_mac = nics.iter().position(|nic| Some(&nic.mac) == mac.as_ref());
        let by_name = nics.iter().position(|nic| Some(nic.name.as_str()) == draft.text("network.interface"));
        let with_link = nics.iter().position(|nic| nic.link == Some(true));
        let at = by_mac.or(by_name).or(with_link).unwrap_or(0);
        rows.push(Row::choice(Ask::Interface, "Interface", nics.iter().map(nic_text).collect(), at, ""));
    }
    let dhcp = draft.text("network.mode") == Some("dhcp");
    let options = vec!["static".to_owned(), "DHCP".to_owned()];
    rows.push(Row::choice(Ask::Mode, "Address of the host", options, usize::from(dhcp), ""));
    if !dhcp {
        rows.push(text(Ask::Address, "Address", "with prefix length: 192.0.2.10/24"));
        rows.push(text(Ask::Gateway, "Gateway", ""));
        let servers = draft.texts("network.dns").join(" ");
        rows.push(Row::text(Ask::Dns, "Name servers", Some(servers.as_str()), "separated by blanks"));
    }
    let options = vec!["Linux bridge".to_owned(), "Open vSwitch".to_owned()];
    let ovs = draft.text("network.bridge") == Some("open-vswitch");
    rows.push(Row::choice(Ask::Bridge, "Bridges", options, usize::from(ovs), ""));
    rows.push(text(Ask::Internal, "Host on vmbr1", "internal network; Proxmox VE with DHCP needs it"));
    let deploys = draft.switch("guests.deploy") == Some(true);
    if deploys {
        for (index, role) in roles().iter().enumerate() {
            if role.is_on(Net::Internal) {
                rows.push(text(Ask::RoleInternal(index), &format!("{} on vmbr1", role.name), ""));
            }
            if role.is_on(Net::Public) {
                rows.push(text(Ask::RolePublic(index), &format!("{} on vmbr0", role.name), "public; empty: DHCP"));
                rows.push(text(Ask::RoleGateway(index), &format!("{}'s gateway", role.name), "for a static address"));
            }
        }
        rows.push(text(Ask::MachineGateway, "Way out on vmbr1", "of machines without public address; empty: none"));
    }
    rows
}
