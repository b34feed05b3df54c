//! A machine that scans another's ports: the medium's live system, with the program `port-scan` of this crate.

use std::path::Path;
use std::time::Duration;

use crate::boot::{micro, micro_shell};
use crate::cables::{self, Cables, End};
use crate::failure::OrFail;
use crate::host::HostError;
use crate::machine::{Firmware, Machine};
use crate::medium::AnswerMedium;
use crate::ports::{self, Ports, Proto};
use crate::shell::Shell;
use crate::timing::Lab;
use crate::vm::Vm;

/// A scan of all ports of one protocol, twice, on a loaded host.
const SCAN_TIMEOUT: Duration = Duration::from_secs(600);
/// The program, on the scanning machine.
const PROGRAM: &str = "/usr/local/bin/port-scan";
/// Ends a watch.
const UNTIL: &str = "/run/watch-is-over";
/// Where a watch leaves what it saw.
const SEEN: &str = "/run/watch-saw";
/// Kernels tell of few ports a second that they cannot be reached; a scan asks for all of them.
pub const TELL_ALL: &str = "cd /proc/sys/net/ipv4 && echo 0 > icmp_ratelimit && \
    for limit in icmp_msgs_per_sec icmp_msgs_burst; do [ ! -e $limit ] || echo 1000000 > $limit; done";

/// Starts the machine that scans, at the other end of the cables.
#[track_caller]
pub fn power_on(lab: &Lab, cables: &Cables, program: &Path) -> Vm {
    let program = std::fs::read(program).map_err(|source| HostError::file("read", program, source)).or_fail();
    let mut machine = Machine::new(lab, Firmware::Bios).plug_in(cables, End::Second);
    machine.answer(&AnswerMedium::iso9660(lab, "scanner", &[("port-scan", &program)]));
    micro(&mut machine, "scanner")
}

/// The scanner's shell. Each cable is a network in a namespace of its own: what goes from one to the other goes through the machine that
/// is scanned.
#[derive(Debug)]
pub struct Scanner<'vm> {
    shell: Shell<'vm>,
}

impl<'vm> Scanner<'vm> {
    /// The scanner, once it is up.
    #[track_caller]
    pub fn take_over(vm: &'vm Vm) -> Self {
        let shell = micro_shell(vm);
        shell.ok(&format!(
            "mount -o ro /dev/disk/by-label/SOVEREIGN /mnt && install -m 755 /mnt/port-scan {PROGRAM} && umount /mnt"
        ));
        Self { shell }
    }

    /// Puts a cable, from 0, into a namespace with these addresses (with the lengths of their prefixes).
    #[track_caller]
    pub fn wire(&self, cable: usize, namespace: &str, addresses: &[&str], gateway: Option<&str>) {
        let mac = cables::mac(End::Second, cable);
        let card = self.shell.ok(&format!("basename $(dirname $(grep -l {mac} /sys/class/net/*/address))"));
        let card = card.trim();
        self.shell.ok(&format!(
            "ip netns add {namespace} && ip link set {card} netns {namespace} && ip -n {namespace} link set lo up && \
             ip -n {namespace} link set {card} up"
        ));
        for address in addresses {
            self.shell.ok(&format!("ip -n {namespace} address add {address} dev {card}"));
        }
        if let Some(gateway) = gateway {
            self.route(namespace, "default", gateway);
        }
        self.shell.ok(&format!("{TELL_ALL}; ip netns exec {namespace} bash -c '{TELL_ALL}'"));
    }

    /// Sends what is for `target` by `gateway`.
    #[track_caller]
    pub fn route(&self, namespace: &str, target: &str, gateway: &str) {
        self.shell.ok(&format!("ip -n {namespace} route add {target} via {gateway}"));
    }

    /// The ports of `target` that answer `source`.
    #[track_caller]
    pub fn scan(&self, namespace: &str, proto: Proto, source: &str, target: &str) -> Ports {
        let proto = proto.name();
        let command = format!("ip netns exec {namespace} {PROGRAM} probe {proto} {source} {target}");
        let said = self.shell.ok_within(&command, SCAN_TIMEOUT);
        self.shell.vm().lab().mark(&format!("scanned: {proto} of {target} from {source}"));
        ports::parse(&said).unwrap_or_else(|| panic!("{command} printed no ports:\n{said}"))
    }

    /// What `work` gives, and which ports of `address`, which is this machine's, are reached meanwhile: a line for each protocol and
    /// sender, as `tcp 192.0.2.99 25 465`.
    #[track_caller]
    pub fn watch<T>(&self, namespace: &str, address: &str, work: impl FnOnce() -> T) -> (T, Vec<String>) {
        self.shell.ok(&format!(
            "rm -f {UNTIL}; (ip netns exec {namespace} {PROGRAM} watch {address} {UNTIL} > {SEEN} 2>&1 &); \
             until [ $(ip netns exec {namespace} cat /proc/net/raw | wc -l) = 3 ]; do sleep 0.2; done"
        ));
        let done = work();
        let seen = self.shell.ok(&format!("touch {UNTIL}; while pidof -q port-scan; do sleep 0.2; done; cat {SEEN}"));
        (done, seen.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }
}
