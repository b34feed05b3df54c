//! Scans ports from within a machine of the tests: `probe` prints the ports of a target that answer, open or closed, and are thus let
//! through by its firewall; `watch` prints which ports of an address are reached, and from where, until a file appears.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, ipproto, recvfrom, sendto,
    socket_with, sockopt,
};
use sovereign_qemu_tests::packet::{Probe, TCP, UDP};
use sovereign_qemu_tests::ports::{Ports, ranges};

const USAGE: &str = "usage: port-scan probe tcp|udp SOURCE TARGET\n       port-scan watch ADDRESS UNTIL-FILE";
/// Every port that gave no answer is asked this often: a packet may be lost.
const ROUNDS: usize = 2;
/// Ports that are asked before answers are read.
const BATCH: u16 = 64;
/// After so much silence a round is over.
const QUIET: Duration = Duration::from_secs(2);
/// How often a watch looks for the file that ends it.
const LOOK: Duration = Duration::from_millis(200);
/// The port that is asked from: below those that Linux gives to others.
const FROM: u16 = 20_053;
/// Room for answers that come while others are asked, bytes.
const BUFFER: usize = 8 << 20;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["probe", protocol, source, target] => probe(protocol, source, target),
        ["watch", address, until] => watch(address, Path::new(until)),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("port-scan: {error}");
            ExitCode::FAILURE
        }
    }
}

fn probe(protocol: &str, source: &str, target: &str) -> Result<String> {
    let (number, protocol) = match protocol {
        "tcp" => (TCP, ipproto::TCP),
        "udp" => (UDP, ipproto::UDP),
        _ => return Err(USAGE.into()),
    };
    let (source, target): (Ipv4Addr, Ipv4Addr) = (source.parse()?, target.parse()?);
    let asking = raw(protocol, source)?;
    let answers = [&asking, &raw(ipproto::ICMP, source)?];
    let mut answered = Ports::new();
    let read = |answered: &mut Ports| -> Result<()> {
        for socket in answers {
            receive(socket, |packet| {
                let ours = Probe::answered_by(packet)
                    .filter(|p| (p.protocol, p.source, p.from, p.target) == (number, source, FROM, target));
                answered.extend(ours.map(|probe| probe.to));
            })?;
        }
        Ok(())
    };
    for _ in 0..ROUNDS {
        for to in 1..=u16::MAX {
            if !answered.contains(&to) {
                send(&asking, &Probe { protocol: number, source, from: FROM, target, to })?;
            }
            if to % BATCH == 0 {
                read(&mut answered)?;
            }
        }
        while wait(&answers, PollFlags::IN, QUIET)? {
            read(&mut answered)?;
        }
    }
    Ok(ranges(&answered))
}

/// A line for each protocol and sender: `tcp 192.0.2.99 25 465`.
fn watch(address: &str, until: &Path) -> Result<String> {
    let address: Ipv4Addr = address.parse()?;
    let sockets = [&raw(ipproto::TCP, address)?, &raw(ipproto::UDP, address)?];
    let mut seen: BTreeMap<(u8, Ipv4Addr), Ports> = BTreeMap::new();
    while !until.exists() {
        wait(&sockets, PollFlags::IN, LOOK)?;
        for socket in sockets {
            receive(socket, |packet| {
                if let Some(probe) = Probe::received(packet) {
                    seen.entry((probe.protocol, probe.source)).or_default().insert(probe.to);
                }
            })?;
        }
    }
    let name = |protocol| if protocol == TCP { "tcp" } else { "udp" };
    let lines: BTreeSet<String> = seen
        .iter()
        .map(|((protocol, source), ports)| format!("{} {source} {}", name(*protocol), ranges(ports)))
        .collect();
    Ok(lines.into_iter().collect::<Vec<_>>().join("\n"))
}

/// A socket for packets of one protocol to and from an address of this machine.
fn raw(protocol: Protocol, address: Ipv4Addr) -> Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::NONBLOCK, Some(protocol))?;
    bind(&socket, &SocketAddrV4::new(address, 0))?;
    sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER)?;
    Ok(socket)
}

/// Sends as soon as there is room.
fn send(socket: &OwnedFd, probe: &Probe) -> Result<()> {
    let (packet, to) = (probe.packet(), SocketAddrV4::new(probe.target, 0));
    loop {
        match sendto(socket, &packet, SendFlags::empty(), &to) {
            Ok(_) => return Ok(()),
            Err(Errno::AGAIN | Errno::NOBUFS) => wait(&[socket], PollFlags::OUT, QUIET).map(drop)?,
            Err(error) => return Err(format!("cannot send to {}: {error}", probe.target).into()),
        }
    }
}

/// Reads every packet that has come.
fn receive(socket: &OwnedFd, mut packet: impl FnMut(&[u8])) -> Result<()> {
    let mut buffer = [0u8; 2048];
    loop {
        match recvfrom(socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((length, ..)) => packet(&buffer[..length]),
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(format!("cannot receive: {error}").into()),
        }
    }
}

/// Waits for one of the sockets; says whether there was something.
fn wait(sockets: &[&OwnedFd], what: PollFlags, at_most: Duration) -> Result<bool> {
    let mut fds: Vec<PollFd<'_>> = sockets.iter().map(|socket| PollFd::new(*socket, what)).collect();
    Ok(poll(&mut fds, Some(&Timespec::try_from(at_most)?))? > 0)
}
