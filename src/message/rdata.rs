//! RDATA in presentation form.
//!
//! Nearly every record type is a row of fields ([`layout`]), each written by one small writer. hickory-proto reads the
//! bytes and the structures that have one of their own; what is printed is ours, since an event shows every byte.

mod address;
mod field;
mod irregular;
mod text;

use hickory_proto::serialize::binary::{BinDecoder, Restrict};

use super::name::{Spelling, read_name};
pub(crate) use address::{write_ipv4, write_ipv6};
pub(crate) use text::{decimal, escaped, hexadecimal};

/// The most bytes that one record's presentation form has: four for each byte of the longest RDATA, which is enough for
/// every text of 65,535 bytes of which none prints. What would be longer (tens of thousands of names made of pointers)
/// takes the form for unknown types.
pub(crate) const PRESENTATION_MAX: usize = 4 * 65_536;

/// Appends the presentation form of the RDATA at `start..end` of a message, printable ASCII only, at most
/// [`PRESENTATION_MAX`] bytes. Names in it are in lower case without the final dot; the root is `.`.
///
/// `false` where it is not what its type asks for, or lies beyond the message: then the form for unknown types stands
/// there (RFC 3597, section 5). A type without a presentation form always takes that form, and gives `true`. An empty
/// RDATA, as UPDATE has it for classes ANY and NONE (RFC 2136, 2.5), is `false` for most types: the caller knows the class.
pub(crate) fn present(
    message: &[u8],
    record_type: u16,
    start: usize,
    end: usize,
    out: &mut Vec<u8>,
) -> bool {
    let begin = out.len();
    let Some(data) = message.get(start..end) else {
        unknown(message.get(start..).unwrap_or_default(), out);
        return false;
    };
    if present_plain(message, record_type, start, data, out).is_some() {
        return true;
    }
    out.truncate(begin);
    present_fields(message, record_type, start, end, out)
}

/// The presentation form of what nearly all answers are: one address, or one name. These are read where they stand; `None` for
/// everything else, also for an RDATA that is no such thing.
#[inline]
fn present_plain(
    message: &[u8],
    record_type: u16,
    start: usize,
    data: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    match record_type {
        // A
        1 => write_ipv4(data.try_into().ok()?, |text| out.extend_from_slice(text)),
        // AAAA
        28 => {
            let octets: [u8; 16] = data.try_into().ok()?;
            write_ipv6(octets.into(), |text| out.extend_from_slice(text));
        }
        // NS, CNAME, PTR
        2 | 5 | 12 => {
            let after = read_name(message, start, Spelling::Folded, out)?;
            (after.checked_sub(start)? == data.len()).then_some(())?;
        }
        _ => return None,
    }
    Some(())
}

/// The presentation form of any RDATA, field after field.
fn present_fields(
    message: &[u8],
    record_type: u16,
    start: usize,
    end: usize,
    out: &mut Vec<u8>,
) -> bool {
    let begin = out.len();
    let data = message.get(start..end).unwrap_or_default();
    let fields = layout(record_type);
    // APL may have no items; a form without a character would look like a mistake.
    if fields.is_empty() || (data.is_empty() && fields == [Field::AddressPrefixes]) {
        unknown(data, out);
        return true;
    }
    if Rdata::at(message, start, end, out).is_some_and(|mut rdata| rdata.write(fields).is_some())
        && out.len().saturating_sub(begin) <= PRESENTATION_MAX
    {
        return true;
    }
    out.truncate(begin);
    unknown(data, out);
    false
}

/// `\# length hexadecimal` (RFC 3597, section 5).
fn unknown(data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\# ");
    decimal(data.len() as u64, out);
    if !data.is_empty() {
        out.push(b' ');
        hexadecimal(data, out);
    }
}

/// One field of an RDATA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// A number of 8 bits.
    U8,
    /// A number of 16 bits.
    U16,
    /// A number of 32 bits.
    U32,
    /// A number of 48 bits.
    U48,
    /// A number of 64 bits.
    U64,
    /// A record type of 16 bits, as its mnemonic.
    Type,
    /// The type of a certificate in 16 bits, by its name where it has one.
    Certificate,
    /// A DNSSEC algorithm of 8 bits, by its name where it has one, as CERT alone prints it (RFC 4398, 2.2).
    Algorithm,
    /// How DSYNC's target is told, in 8 bits (RFC 9859, 2.1), by its name where it has one.
    Scheme,
    /// An RCODE of 16 bits, as TSIG and TKEY have it (RFC 8945, section 3), by its name.
    Error,
    /// Seconds since 1970 in 32 bits, as `YYYYMMDDHHmmSS` in UTC (RFC 4034, 3.2). Not taken as a serial number (RFC 1982),
    /// since that would need today's date: right until 2106.
    Time,
    /// A domain name, compressed or not.
    Name,
    /// Domain names to the end, perhaps none.
    Names,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address (RFC 5952).
    Ipv6,
    /// Four groups of 16 bits with colons between them, without leading zeros (RFC 6742, 2.1.2).
    Locator,
    /// This many bytes with hyphens between them (RFC 7043, 3.2).
    Hyphenated(usize),
    /// A character string (RFC 1035, 3.3) in quotation marks.
    Text,
    /// Character strings to the end, at least one.
    Texts,
    /// A character string, or none where the RDATA ends.
    OptionalText,
    /// All bytes to the end as one text in quotation marks.
    RestAsText,
    /// All bytes to the end in hexadecimal, at least one.
    Hex,
    /// The same with `0x` before it (RFC 1706, section 7).
    Nsap,
    /// All bytes to the end in Base64 (RFC 4648, section 4), at least one.
    Base64,
    /// The same, nothing where there are none.
    OptionalBase64,
    /// The same, `-` where there are none (draft-durand-doa-over-dns, 3.7).
    Base64OrHyphen,
    /// A length of 16 bits, printed, and this many bytes in Base64.
    SizedBase64,
    /// A length of 8 bits, not printed, and this many bytes in hexadecimal, `-` for none (RFC 5155, 3.3).
    Salt,
    /// A length of 8 bits, not printed, and this many bytes in Base32 with the extended hex alphabet (RFC 5155, 3.3).
    Hash,
    /// A bitmap of record types in windows (RFC 4034, 4.1.2), perhaps empty.
    Types,
    /// The bitmap that NXT had (RFC 2535, 5.2).
    OldTypes,
    /// A6's prefix length, suffix and prefix name (RFC 2874, 3.1).
    A6,
    /// Address prefixes to the end (RFC 3123), perhaps none.
    AddressPrefixes,
    /// An ATM address (ATM Name System, version 1.0): a format and the rest.
    AtmAddress,
    /// CAA (RFC 8659, 4.1).
    Caa,
    /// Where IPSECKEY's gateway is (RFC 4025, 2.1): type, algorithm, gateway.
    Gateway,
    /// Host identity, key and rendezvous servers (RFC 8005, section 5), without the servers.
    HostIdentity,
    /// A place on Earth (RFC 1876).
    Location,
    /// A relay for multicast (RFC 8777, 4.2): discovery bit, type, relay.
    Relay,
    /// The parameters of SVCB and HTTPS (RFC 9460), perhaps none.
    ServiceParameters,
    /// A protocol and its ports (RFC 1035, 3.4.2).
    Services,
}

/// The fields of a record type's RDATA; none for types that have no presentation form.
fn layout(record_type: u16) -> &'static [Field] {
    use Field::*;
    match record_type {
        1 => &[Ipv4],
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, NSAP-PTR, DNAME
        2..=5 | 7..=9 | 12 | 23 | 39 => &[Name],
        // SOA
        6 => &[Name, Name, U32, U32, U32, U32, U32],
        // WKS
        11 => &[Ipv4, Services],
        // HINFO
        13 => &[Text, Text],
        // MINFO, RP, TALINK
        14 | 17 | 58 => &[Name, Name],
        // MX, AFSDB, RT, KX, LP
        15 | 18 | 21 | 36 | 107 => &[U16, Name],
        // TXT, NINFO, SPF, AVC, RESINFO, WALLET, CLA
        16 | 56 | 99 | 258 | 261..=263 => &[Texts],
        // X25
        19 => &[Text],
        // ISDN
        20 => &[Text, OptionalText],
        // NSAP
        22 => &[Nsap],
        // SIG, RRSIG
        24 | 46 => &[Type, U8, U8, U32, Time, Time, U16, Name, Base64],
        // KEY, DNSKEY, RKEY, CDNSKEY
        25 | 48 | 57 | 60 => &[U16, U8, U8, OptionalBase64],
        // PX
        26 => &[U16, Name, Name],
        // GPOS
        27 => &[Text, Text, Text],
        // AAAA
        28 => &[Ipv6],
        // LOC
        29 => &[Location],
        // NXT
        30 => &[Name, OldTypes],
        // EID, NIMLOC
        31 | 32 => &[Hex],
        // SRV
        33 => &[U16, U16, U16, Name],
        // ATMA
        34 => &[AtmAddress],
        // NAPTR
        35 => &[U16, U16, Text, Text, Text, Name],
        // CERT
        37 => &[Certificate, U16, Algorithm, Base64],
        // A6
        38 => &[A6],
        // SINK
        40 => &[U8, U8, U8, OptionalBase64],
        // APL
        42 => &[AddressPrefixes],
        // DS, CDS, TA, DLV
        43 | 59 | 32_768 | 32_769 => &[U16, U8, U8, Hex],
        // SSHFP
        44 => &[U8, U8, Hex],
        // IPSECKEY
        45 => &[U8, Gateway, OptionalBase64],
        // NSEC
        47 => &[Name, Types],
        // DHCID, OPENPGPKEY, HHIT, BRID
        49 | 61 | 67 | 68 => &[Base64],
        // NSEC3
        50 => &[U8, U8, U16, Salt, Hash, Types],
        // NSEC3PARAM
        51 => &[U8, U8, U16, Salt],
        // TLSA, SMIMEA
        52 | 53 => &[U8, U8, U8, Hex],
        // HIP
        55 => &[HostIdentity, Names],
        // CSYNC
        62 => &[U32, U16, Types],
        // ZONEMD
        63 => &[U32, U8, U8, Hex],
        // SVCB, HTTPS
        64 | 65 => &[U16, Name, ServiceParameters],
        // DSYNC
        66 => &[Type, Scheme, U16, Name],
        // NID, L64
        104 | 106 => &[U16, Locator],
        // L32
        105 => &[U16, Ipv4],
        // EUI48, EUI64
        108 => &[Hyphenated(6)],
        109 => &[Hyphenated(8)],
        // TKEY, TSIG
        249 => &[Name, U32, U32, U16, Error, SizedBase64, SizedBase64],
        250 => &[Name, U48, U16, SizedBase64, U16, Error, SizedBase64],
        // URI
        256 => &[U16, U16, RestAsText],
        // CAA
        257 => &[Caa],
        // DOA
        259 => &[U32, U32, U8, Text, Base64OrHyphen],
        // AMTRELAY
        260 => &[U8, Relay],
        // IPN
        264 => &[U64],
        _ => &[],
    }
}

/// An RDATA that is being read, and the text that it becomes. `None` from any of its functions: this is not what the type
/// asks for.
struct Rdata<'a> {
    /// The whole message, since names point out of the RDATA.
    message: &'a [u8],
    /// Reads the RDATA and stops at its end.
    decoder: BinDecoder<'a>,
    /// Where the text goes.
    out: &'a mut Vec<u8>,
    /// Where the text begins.
    begin: usize,
}

impl<'a> Rdata<'a> {
    /// The RDATA at `start..end`.
    fn at(message: &'a [u8], start: usize, end: usize, out: &'a mut Vec<u8>) -> Option<Self> {
        let mut decoder = BinDecoder::new(message.get(..end)?);
        decoder.read_slice(start).ok()?;
        let begin = out.len();
        Some(Self {
            message,
            decoder,
            out,
            begin,
        })
    }

    /// Writes all fields; nothing may be left over.
    fn write(&mut self, fields: &[Field]) -> Option<()> {
        for &field in fields {
            self.field(field)?;
        }
        self.decoder.is_empty().then_some(())
    }

    fn u8(&mut self) -> Option<u8> {
        self.decoder.read_u8().ok().map(Restrict::unverified)
    }

    fn u16(&mut self) -> Option<u16> {
        self.decoder.read_u16().ok().map(Restrict::unverified)
    }

    fn u32(&mut self) -> Option<u32> {
        self.decoder.read_u32().ok().map(Restrict::unverified)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        self.decoder
            .read_slice(length)
            .ok()
            .map(Restrict::unverified)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    /// All bytes to the end.
    fn rest(&mut self) -> Option<&'a [u8]> {
        self.bytes(self.decoder.len())
    }

    /// The bytes after a length of 8 bits.
    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.bytes(usize::from(length))
    }

    /// Begins a new word: a space, unless it is the first. Nothing is written past the longest form.
    fn word(&mut self) -> Option<&mut Vec<u8>> {
        if self.out.len() > self.begin {
            self.out.push(b' ');
        }
        (self.out.len().saturating_sub(self.begin) <= PRESENTATION_MAX).then_some(&mut *self.out)
    }

    /// Writes a number.
    fn number(&mut self, number: impl Into<u64>) -> Option<()> {
        decimal(number.into(), self.word()?);
        Some(())
    }

    /// Reads and writes a name.
    fn name(&mut self) -> Option<()> {
        let start = self.decoder.index();
        let message = self.message;
        let after = read_name(message, start, Spelling::Folded, self.word()?)?;
        self.bytes(after.checked_sub(start)?)?;
        Some(())
    }
}

#[cfg(test)]
pub(super) mod golden;
#[cfg(test)]
mod tests;
