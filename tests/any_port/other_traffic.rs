//! What else crosses a network: payloads of other protocols, the same on every run, and what is nearly DNS and is not.

/// Marsaglia's xorshift: the same numbers on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % end
    }

    fn word(&mut self) -> u16 {
        (self.next() >> 24) as u16
    }

    /// Appends random bytes.
    fn fill(&mut self, bytes: &mut Vec<u8>, count: usize) {
        let end = bytes.len() + count;
        while bytes.len() < end {
            bytes.extend(self.next().to_ne_bytes());
        }
        bytes.truncate(end);
    }

    /// Appends bytes of an alphabet.
    fn draw(&mut self, bytes: &mut Vec<u8>, alphabet: &[u8], count: usize) {
        let mut numbers = 0;
        for at in 0..count {
            if at % 8 == 0 {
                numbers = self.next() >> 1;
            }
            bytes.push(alphabet[(numbers & 0xFF) as usize % alphabet.len()]);
            numbers >>= 8;
        }
    }
}

/// Zeros, and the small numbers that headers are full of.
const SMALL: &[u8] = &[
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 16, 33, 41,
    255,
];
const TEXT: &[u8] =
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,-_/\r\n\"{}:=";

/// How many kinds there are.
pub(crate) const KINDS: usize = 24;

/// Puts a payload into `to`, which is emptied: mostly a few hundred bytes.
pub(crate) fn payload(random: &mut Random, kind: usize, to: &mut Vec<u8>) {
    to.clear();
    let length = 4 + random.below(40) * random.below(40);
    let short = 5 + random.below(40);
    match kind {
        0 => random.fill(to, length),
        1 => to.resize(length, 0),
        2 => random.draw(to, SMALL, 7 + short),
        3 => random.draw(to, TEXT, length),
        // Words in both byte orders, mostly small ones.
        4 => {
            for _ in 0..6 + random.below(30) {
                let word = [0, 0, 0, 1, 2, 0x0100, 0x0200, random.word()][random.below(8)];
                to.extend(word.to_be_bytes());
            }
        }
        // NetBIOS: name query, registration, status, release; its alphabet is DNS's, and so is its form.
        5 => netbios(random, to),
        // NTP.
        6 => {
            to.extend([[0x23, 0x1B, 0x24][random.below(3)], 2, 6, 0xEC]);
            random.draw(to, SMALL, 8);
            random.fill(to, 36);
        }
        // DHCP.
        7 => {
            to.extend([1, 1, 6, 0]);
            random.fill(to, 4);
            random.draw(to, SMALL, 20);
            random.fill(to, 6);
            to.resize(236, 0);
            to.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 55, 4, 1, 3, 6, 15, 255]);
        }
        // SNMP.
        8 => {
            to.extend(b"\x30\x29\x02\x01\x01\x04\x06public\xa0\x1c\x02\x04");
            random.fill(to, 4);
            to.extend(b"\x02\x01\x00\x02\x01\x00\x30\x0e\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00\x05\x00");
        }
        // STUN.
        9 => {
            to.extend([0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42]);
            random.fill(to, 12);
            random.draw(to, SMALL, 8);
        }
        // RTP, of which the sequence numbers count.
        10 => {
            to.extend([0x80, [0, 8, 96, 111][random.below(4)]]);
            to.extend(random.word().to_be_bytes());
            to.extend([0, 1, 0, 0]);
            random.draw(to, SMALL, 4);
            random.fill(to, 160);
        }
        // QUIC with a long header, version 1.
        11 => {
            to.extend([0xC0 | random.below(64) as u8, 0, 0, 0, 1, 8]);
            random.fill(to, 1200);
        }
        // QUIC with a short one, WireGuard data, ESP in UDP.
        12 => {
            to.extend([[0x40, 4][random.below(2)], 0, 0, 0]);
            random.fill(to, length);
        }
        // TFTP.
        13 => {
            to.extend([0, 1 + random.below(5) as u8, 0, 1]);
            random.draw(to, TEXT, 8);
            to.extend(b"\0octet\0");
        }
        // RADIUS.
        14 => {
            to.extend([1, random.below(256) as u8, 0, 60]);
            random.fill(to, 16);
            to.extend(b"\x01\x07alice\x02\x12");
            random.fill(to, 16);
        }
        // memcached over UDP: identifier, sequence, one datagram, nothing.
        15 => {
            to.extend(random.word().to_be_bytes());
            to.extend([0, 0, 0, 1, 0, 0]);
            to.extend(
                [
                    &b"stats\r\n"[..],
                    b"get a\r\n",
                    b"VALUE k 0 1\r\nx\r\nEND\r\n",
                ][random.below(3)],
            );
        }
        // BitTorrent: DHT, and uTP.
        16 => {
            to.extend(b"d1:ad2:id20:");
            random.fill(to, 20);
            to.extend(b"e1:q4:ping1:t2:");
            random.fill(to, 2);
            to.extend(b"1:y1:qe");
        }
        17 => {
            to.extend([[0x41, 0x21, 1][random.below(3)], 0]);
            random.fill(to, 10);
            random.draw(to, SMALL, 8);
        }
        // RIP, RPC, Modbus, Kerberos: numbers.
        18 => {
            to.extend([[2, 2, 0, 0], [1, 1, 0, 0]][random.below(2)]);
            for _ in 0..1 + random.below(24) {
                to.extend([0, 2, 0, 0]);
                random.fill(to, 4);
                random.draw(to, SMALL, 12);
            }
        }
        19 => {
            random.fill(to, 4);
            to.extend([
                0,
                0,
                0,
                random.below(2) as u8,
                0,
                0,
                0,
                random.below(3) as u8,
            ]);
            random.draw(to, SMALL, 24);
        }
        20 => {
            random.fill(to, 2);
            to.extend([0, 0, 0, 6, 1, 3]);
            random.draw(to, SMALL, 4);
        }
        // Over TCP: HTTP, TLS, SSH.
        21 => {
            to.extend(
                [
                    &b"GET / HTTP/1.1\r\nHost: "[..],
                    b"HTTP/1.1 200 OK\r\n\r\n",
                    b"SSH-2.0-OpenSSH_9.2\r\n",
                ][random.below(3)],
            );
            random.draw(to, TEXT, length);
        }
        22 => {
            to.extend([0x16 + random.below(2) as u8, 3, 3]);
            to.extend(u16::try_from(length).unwrap().to_be_bytes());
            random.fill(to, length);
        }
        // The header of a query, and then something else.
        _ => {
            to.extend(random.word().to_be_bytes());
            to.extend([
                random.below(2) as u8,
                0,
                0,
                1,
                0,
                0,
                0,
                0,
                0,
                random.below(2) as u8,
            ]);
            match random.below(3) {
                0 => random.fill(to, short),
                1 => random.draw(to, SMALL, short),
                _ => random.draw(to, TEXT, length),
            }
        }
    }
}

fn netbios(random: &mut Random, to: &mut Vec<u8>) {
    let (flags, kind, additionals): (u16, u8, u8) = [
        (0x0110, 0x20, 0),
        (0x2910, 0x20, 1),
        (0x0000, 0x21, 0),
        (0x3010, 0x20, 1),
        (0x0100, 0x20, 0),
    ][random.below(5)];
    to.extend(random.word().to_be_bytes());
    to.extend(flags.to_be_bytes());
    to.extend([0, 1, 0, 0, 0, 0, 0, additionals, 32]);
    random.draw(to, b"ABCDEFGHIJKLMNOP", 32);
    // With a scope, sometimes.
    if random.below(4) == 0 {
        to.extend(b"\x07netbios\x03com");
    }
    to.extend([0, 0, kind, 0, 1]);
    if additionals > 0 {
        to.extend([0xC0, 0x0C, 0, 0x20, 0, 1, 0, 4, 0x93, 0xE0, 0, 6, 0, 0]);
        random.fill(to, 4);
    }
}
