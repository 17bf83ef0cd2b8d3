//! The fields with rules of their own: lengths that depend on other fields, bits, lists of pairs.

use std::io::Write;

use hickory_proto::rr::rdata::svcb::{EchConfigList, IpHint, Mandatory, SvcParamKey};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, Restrict};

use super::super::name::escape;
use super::address::{write_ipv4, write_ipv6};
use super::field::set_bits;
use super::text::{base64, decimal, hexadecimal, quoted};
use super::{Field, Rdata};

impl Rdata<'_> {
    /// Reads and writes one of these fields.
    pub(super) fn irregular(&mut self, field: Field) -> Option<()> {
        match field {
            Field::OldTypes => self.old_types(),
            Field::A6 => self.a6(),
            Field::AddressPrefixes => self.until_the_end(Self::address_prefix),
            Field::AtmAddress => self.atm_address(),
            Field::Caa => self.caa(),
            Field::Gateway => self.gateway(),
            Field::HostIdentity => self.host_identity(),
            Field::Location => self.location(),
            Field::Relay => self.relay(),
            Field::ServiceParameters => self.service_parameters(),
            Field::Services => self.services(),
            _ => None,
        }
    }

    /// Types 1 to 127, a bit for each; where the first bit is set it is another format, which was never defined.
    fn old_types(&mut self) -> Option<()> {
        let bitmap = self.rest()?;
        if bitmap.len() > 16 || bitmap.first()? & 0x80 != 0 {
            return None;
        }
        for number in set_bits(bitmap) {
            self.words(&super::super::mnemonic::record_type(number))?;
        }
        Some(())
    }

    /// The suffix has as many bytes as the prefix leaves; there is a prefix name unless the prefix is empty.
    fn a6(&mut self) -> Option<()> {
        let prefix = self.u8()?;
        let suffix = self.bytes(16_usize.checked_sub(usize::from(prefix / 8))?)?;
        if prefix > 128 {
            return None;
        }
        self.number(prefix)?;
        if prefix < 128 {
            let mut octets = [0; 16];
            octets
                .get_mut(usize::from(prefix / 8)..)?
                .copy_from_slice(suffix);
            let out = self.word()?;
            write_ipv6(octets.into(), |text| out.extend_from_slice(text));
        }
        if prefix > 0 {
            self.name()?;
        }
        Some(())
    }

    /// `[!]family:address/prefix` (RFC 3123, section 5); the address's final zero bytes are left out on the wire.
    fn address_prefix(&mut self) -> Option<()> {
        let family = self.u16()?;
        let prefix = self.u8()?;
        let length = self.u8()?;
        let part = self.bytes(usize::from(length & 0x7F))?;
        let out = self.word()?;
        if length & 0x80 != 0 {
            out.push(b'!');
        }
        decimal(u64::from(family), out);
        out.push(b':');
        match family {
            1 if prefix <= 32 => {
                let mut octets = [0; 4];
                octets.get_mut(..part.len())?.copy_from_slice(part);
                write_ipv4(octets, |text| out.extend_from_slice(text));
            }
            2 if prefix <= 128 => {
                let mut octets = [0; 16];
                octets.get_mut(..part.len())?.copy_from_slice(part);
                write_ipv6(octets.into(), |text| out.extend_from_slice(text));
            }
            _ => return None,
        }
        out.push(b'/');
        decimal(u64::from(prefix), out);
        Some(())
    }

    /// Format 0 is an end system address in hexadecimal, format 1 a telephone number in digits (E.164).
    fn atm_address(&mut self) -> Option<()> {
        let format = self.u8()?;
        let address = self.rest()?;
        match format {
            0 if !address.is_empty() => self.encoded(address, hexadecimal),
            1 if !address.is_empty() && address.iter().all(u8::is_ascii_digit) => {
                let out = self.word()?;
                out.push(b'+');
                out.extend_from_slice(address);
                Some(())
            }
            _ => None,
        }
    }

    /// `flags tag "value"`.
    fn caa(&mut self) -> Option<()> {
        let length = u16::try_from(self.decoder.len()).ok()?;
        let read = RData::read(&mut self.decoder, RecordType::CAA, Restrict::new(length));
        let Ok(RData::CAA(caa)) = read else {
            return None;
        };
        self.number(caa.flags())?;
        self.words(&caa.tag)?;
        quoted(&caa.value, self.word()?);
        Some(())
    }

    fn gateway(&mut self) -> Option<()> {
        let kind = self.u8()?;
        let algorithm = self.u8()?;
        self.number(kind)?;
        self.number(algorithm)?;
        self.host(kind)
    }

    fn relay(&mut self) -> Option<()> {
        let kind = self.u8()?;
        self.number(kind >> 7)?;
        self.number(kind & 0x7F)?;
        self.host(kind & 0x7F)
    }

    /// Nothing, an address or a name, as a number before it says.
    fn host(&mut self, kind: u8) -> Option<()> {
        match kind {
            0 => self.words("."),
            1 => self.ipv4(),
            2 => self.ipv6(),
            3 => self.name(),
            _ => None,
        }
    }

    fn host_identity(&mut self) -> Option<()> {
        let tag_length = self.u8()?;
        let algorithm = self.u8()?;
        let key_length = self.u16()?;
        let tag = self.bytes(usize::from(tag_length))?;
        let key = self.bytes(usize::from(key_length))?;
        if tag.is_empty() || key.is_empty() {
            return None;
        }
        self.number(algorithm)?;
        self.encoded(tag, hexadecimal)?;
        self.encoded(key, base64)
    }

    /// Degrees, minutes, seconds, hemisphere; altitude, size and precisions in metres.
    fn location(&mut self) -> Option<()> {
        let version = self.u8()?;
        let sizes = self.array::<3>()?;
        let latitude = self.u32()?;
        let longitude = self.u32()?;
        let altitude = self.u32()?;
        if version != 0 {
            return None;
        }
        self.angle(latitude, 90, b'N', b'S')?;
        self.angle(longitude, 180, b'E', b'W')?;
        // In centimetres above 100 km below the reference spheroid.
        let altitude = i64::from(altitude) - 10_000_000;
        let sign = if altitude < 0 { "-" } else { "" };
        let centimetres = altitude.unsigned_abs();
        write!(
            self.word()?,
            "{sign}{}.{:02}m",
            centimetres / 100,
            centimetres % 100
        )
        .ok()?;
        for size in sizes {
            // A digit and a power of ten, in centimetres.
            let (digit, power) = (u64::from(size >> 4), u32::from(size & 0xF));
            if digit > 9 || power > 9 {
                return None;
            }
            let centimetres = digit * 10_u64.pow(power);
            let out = self.word()?;
            decimal(centimetres / 100, out);
            if power < 2 {
                write!(out, ".{:02}", centimetres % 100).ok()?;
            }
            out.push(b'm');
        }
        Some(())
    }

    /// Thousandths of a second of arc, 2^31 being the equator or the prime meridian.
    fn angle(&mut self, angle: u32, degrees_max: u32, above: u8, below: u8) -> Option<()> {
        let distance = angle.abs_diff(1 << 31);
        if distance > degrees_max * 3_600_000 {
            return None;
        }
        let (degrees, minutes) = (distance / 3_600_000, distance / 60_000 % 60);
        let (seconds, thousandths) = (distance / 1_000 % 60, distance % 1_000);
        let hemisphere = char::from(if angle < 1 << 31 { below } else { above });
        write!(
            self.word()?,
            "{degrees} {minutes} {seconds}.{thousandths:03} {hemisphere}"
        )
        .ok()
    }

    /// `key=value` for each parameter, in rising order of their keys (RFC 9460, 2.2).
    fn service_parameters(&mut self) -> Option<()> {
        let mut least = 0;
        while !self.decoder.is_empty() {
            let key = self.u16()?;
            let length = self.u16()?;
            let value = self.bytes(usize::from(length))?;
            if u32::from(key) < least {
                return None;
            }
            least = u32::from(key) + 1;
            service_parameter(key, value, self.word()?)?;
        }
        Some(())
    }

    /// The protocol's number, and the port for each bit that is set.
    fn services(&mut self) -> Option<()> {
        let protocol = self.u8()?;
        let bitmap = self.rest()?;
        if bitmap.len() > 65_536 / 8 {
            return None;
        }
        self.number(protocol)?;
        for port in set_bits(bitmap) {
            self.number(port)?;
        }
        Some(())
    }
}

/// Appends a parameter of SVCB as dig prints it.
fn service_parameter(key: u16, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut decoder = BinDecoder::new(value);
    service_key(key, out);
    match SvcParamKey::from(key) {
        SvcParamKey::Mandatory => {
            let Mandatory(keys) = Mandatory::read(&mut decoder).ok()?;
            list(keys, out, |key, out| service_key(u16::from(key), out))?;
        }
        SvcParamKey::Alpn => protocols(&mut decoder, out)?,
        SvcParamKey::NoDefaultAlpn => {}
        SvcParamKey::Port => {
            out.push(b'=');
            decimal(u64::from(decoder.read_u16().ok()?.unverified()), out);
        }
        SvcParamKey::Ipv4Hint => {
            let IpHint(hints) = IpHint::<A>::read(&mut decoder).ok()?;
            list(hints, out, |A(address), out| {
                write_ipv4(address.octets(), |text| out.extend_from_slice(text))
            })?;
        }
        SvcParamKey::EchConfigList => {
            let EchConfigList(configurations) = EchConfigList::read(&mut decoder).ok()?;
            list([configurations], out, |bytes, out| base64(&bytes, out))?;
        }
        SvcParamKey::Ipv6Hint => {
            let IpHint(hints) = IpHint::<AAAA>::read(&mut decoder).ok()?;
            list(hints, out, |AAAA(address), out| {
                write!(out, "{address}").unwrap_or_default()
            })?;
        }
        SvcParamKey::Key(_) | SvcParamKey::Key65535 | SvcParamKey::Unknown(_) => {
            return later_parameter(key, value, out);
        }
    }
    decoder.is_empty().then_some(())
}

/// Appends the value of a parameter that came after RFC 9460; nothing where it has none.
fn later_parameter(key: u16, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut decoder = BinDecoder::new(value);
    match key {
        // The numbers of key exchange groups (draft-ietf-tls-key-share-prediction).
        9 => {
            let (groups, rest) = value.as_chunks::<2>();
            list(groups, out, |group, out| {
                decimal(u64::from(u16::from_be_bytes(*group)), out);
            })?;
            rest.is_empty().then_some(())
        }
        // The segments of a path, none for the root (RFC 9953, section 3).
        10 if !value.is_empty() => protocols(&mut decoder, out),
        _ => {
            if !value.is_empty() {
                out.push(b'=');
                quoted(value, out);
            }
            Some(())
        }
    }
}

/// Appends the name of a parameter (IANA, Service Parameter Keys).
fn service_key(key: u16, out: &mut Vec<u8>) {
    let name: &[u8] = match key {
        0 => b"mandatory",
        1 => b"alpn",
        2 => b"no-default-alpn",
        3 => b"port",
        4 => b"ipv4hint",
        5 => b"ech",
        6 => b"ipv6hint",
        7 => b"dohpath",
        8 => b"ohttp",
        9 => b"tls-supported-groups",
        10 => b"docpath",
        11 => b"pvd",
        12 => b"oots",
        other => {
            out.extend_from_slice(b"key");
            return decimal(u64::from(other), out);
        }
    };
    out.extend_from_slice(name);
}

/// Appends `=` and the values with commas between them, at least one.
fn list<T>(
    values: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) -> Option<()> {
    let begin = out.len();
    for value in values {
        out.push(if out.len() == begin { b'=' } else { b',' });
        write(value, out);
    }
    (out.len() > begin).then_some(())
}

/// Appends `="..."` with the protocols' names in it, or other texts. They may hold any byte, commas too: what a list escapes is escaped
/// once more for the quotation marks (RFC 9460, 7.1.1 and appendix A.1). hickory wants UTF-8 here, so it reads the bytes
/// only.
fn protocols(decoder: &mut BinDecoder<'_>, out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(b"=\"");
    let begin = out.len();
    while !decoder.is_empty() {
        if out.len() > begin {
            out.push(b',');
        }
        let length = decoder.read_u8().ok()?.unverified();
        for &byte in decoder.read_slice(usize::from(length)).ok()?.unverified() {
            match byte {
                b',' => out.extend_from_slice(br"\\,"),
                b'\\' => out.extend_from_slice(br"\\\\"),
                b'"' => out.extend_from_slice(br#"\""#),
                b' '..=b'~' => out.push(byte),
                _ => escape(byte, out),
            }
        }
        if length == 0 {
            return None;
        }
    }
    out.push(b'"');
    (out.len() > begin + 1).then_some(())
}
