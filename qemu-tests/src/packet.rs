//! The packets of a port scan: what is sent (TCP, UDP), and what comes back (TCP, UDP, ICMP), as raw sockets of IPv4 give and take them.

use std::net::Ipv4Addr;

/// Bits of TCP's flags (RFC 9293, 3.1).
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
/// Numbers of the protocols (IANA).
pub const TCP: u8 = 6;
/// See [`TCP`].
pub const UDP: u8 = 17;
const ICMP: u8 = 1;
/// ICMP's type of a destination that cannot be reached (RFC 792).
const UNREACHABLE: u8 = 3;

/// One probe, or one answer to it: whose port from whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probe {
    /// [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// Who sends.
    pub source: Ipv4Addr,
    /// From which port.
    pub from: u16,
    /// Who is asked.
    pub target: Ipv4Addr,
    /// Which port.
    pub to: u16,
}

impl Probe {
    /// The segment or datagram, without the header of IP, which the kernel writes.
    pub fn packet(&self) -> Vec<u8> {
        let mut packet = [self.from.to_be_bytes(), self.to.to_be_bytes()].concat();
        if self.protocol == UDP {
            // Length; a checksum of 0 says that there is none (RFC 768).
            packet.extend([0, 8, 0, 0]);
            return packet;
        }
        // Sequence, acknowledgement, 5 words of header, flags, window, checksum, urgent pointer.
        packet.extend([0x53, 0x43, 0x41, 0x4e, 0, 0, 0, 0, 0x50, SYN, 0x04, 0, 0, 0, 0, 0]);
        let pseudo = [&self.source.octets()[..], &self.target.octets(), &[0, TCP, 0, 20], &packet].concat();
        packet[16..18].copy_from_slice(&checksum(&pseudo).to_be_bytes());
        packet
    }

    /// The probe that a received packet, with its header of IP, answers: an open or closed port, or one of which somebody says that it
    /// cannot be reached.
    pub fn answered_by(packet: &[u8]) -> Option<Self> {
        let (header, rest) = Header::read(packet)?;
        if header.protocol == ICMP {
            // What could not be delivered follows after 8 bytes.
            let (told, rest) = (rest.first() == Some(&UNREACHABLE)).then(|| Header::read(rest.get(8..)?))??;
            return Some(Self { from: port(rest, 0)?, to: port(rest, 2)?, ..told.probe() });
        }
        if header.protocol == TCP
            && !matches!(rest.get(13)? & (SYN | RST | ACK), flags if flags & RST != 0 || flags == SYN | ACK)
        {
            return None;
        }
        let Header { source: target, target: source, .. } = header;
        Some(Self { source, target, from: port(rest, 2)?, to: port(rest, 0)?, ..header.probe() })
    }

    /// The probe that a received packet is, with its header of IP: the first of a connection, or a datagram.
    pub fn received(packet: &[u8]) -> Option<Self> {
        let (header, rest) = Header::read(packet)?;
        let first = header.protocol == UDP || header.protocol == TCP && rest.get(13)? & (SYN | RST | ACK) == SYN;
        Some(Self { from: port(rest, 0)?, to: port(rest, 2)?, ..header.probe() }).filter(|_| first)
    }
}

/// What is needed of the header of IP.
struct Header {
    protocol: u8,
    source: Ipv4Addr,
    target: Ipv4Addr,
}

impl Header {
    /// It, and what follows it.
    fn read(packet: &[u8]) -> Option<(Self, &[u8])> {
        // Length in words of 4 bytes in the lower half of the first byte (RFC 791).
        let length = usize::from(packet.first()? & 0x0f) * 4;
        let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
        let header = Self { protocol: *packet.get(9)?, source: address(12)?, target: address(16)? };
        Some((header, packet.get(length..)?))
    }

    fn probe(&self) -> Probe {
        Probe { protocol: self.protocol, source: self.source, from: 0, target: self.target, to: 0 }
    }
}

fn port(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 10, 0, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 10, 0, 12);

    fn probe(protocol: u8) -> Probe {
        Probe { protocol, source: A, from: 40_000, target: B, to: 5_432 }
    }

    fn with_header(protocol: u8, source: Ipv4Addr, target: Ipv4Addr, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
        packet.extend([source.octets(), target.octets()].concat());
        packet.extend(rest);
        packet
    }

    #[test]
    fn a_segment_has_the_checksum_of_itself() {
        let packet = probe(TCP).packet();
        let pseudo = [&A.octets()[..], &B.octets(), &[0, TCP, 0, 20], &packet].concat();
        assert_eq!((packet.len(), checksum(&pseudo)), (20, 0));
        assert_eq!(probe(UDP).packet().len(), 8);
    }

    #[test]
    fn what_is_sent_is_what_a_watch_receives_and_no_answer() {
        for protocol in [TCP, UDP] {
            let sent = with_header(protocol, A, B, &probe(protocol).packet());
            assert_eq!(Probe::received(&sent), Some(probe(protocol)));
        }
        let sent = with_header(TCP, A, B, &probe(TCP).packet());
        assert_eq!(Probe::answered_by(&sent), None, "a connection of the other side's");
    }

    #[test]
    fn open_and_closed_ports_answer() {
        let back = Probe { source: B, from: 5_432, target: A, to: 40_000, protocol: TCP };
        for (flags, answers) in [(SYN | ACK, true), (RST | ACK, true), (RST, true), (ACK, false)] {
            let mut packet = back.packet();
            packet[13] = flags;
            let packet = with_header(TCP, B, A, &packet);
            assert_eq!(Probe::answered_by(&packet), answers.then(|| probe(TCP)), "{flags:#x}");
            assert_eq!(Probe::received(&packet), None);
        }
        let datagram = with_header(UDP, B, A, &Probe { protocol: UDP, ..back }.packet());
        assert_eq!(Probe::answered_by(&datagram), Some(probe(UDP)));
    }

    #[test]
    fn a_port_that_cannot_be_reached_is_told_by_what_was_sent_to_it() {
        let sent = with_header(UDP, A, B, &probe(UDP).packet());
        let told = |kind: u8| with_header(ICMP, B, A, &[&[kind, 3, 0, 0, 0, 0, 0, 0], &sent[..]].concat());
        assert_eq!(Probe::answered_by(&told(UNREACHABLE)), Some(probe(UDP)));
        assert_eq!(Probe::answered_by(&told(0)), None, "an answer to a ping");
        for length in 0..sent.len() {
            let _ = Probe::answered_by(&sent[..length]);
        }
    }
}
