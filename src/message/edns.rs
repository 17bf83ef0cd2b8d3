//! EDNS: what an OPT record says (RFC 6891, 6.1).

use std::borrow::Cow;

use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::serialize::binary::{BinDecoder, Restrict};

use super::mnemonic;
use super::name::{read_uncompressed_name, text_of};
use super::rdata::{decimal, escaped, hexadecimal};

/// The most options that are kept of one record. Real ones have a handful.
const OPTIONS_MAX: usize = 64;
/// The longest text of one option; what would be longer ends in `...` there.
const OPTION_TEXT_MAX: usize = 1024;

/// Most options take fewer bytes, with what is written before them.
const USUAL: usize = 80;

/// What an OPT record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opt {
    /// The sender's UDP payload size in bytes (6.2.3), from the CLASS field.
    pub(crate) udp_size: u16,
    /// The high 8 bits of the RCODE: `header's RCODE | (this << 4)` (6.1.3).
    pub(crate) extended_rcode_high: u8,
    /// The version.
    pub(crate) version: u8,
    /// The DO bit (RFC 3225).
    pub(crate) dnssec_ok: bool,
    /// The client subnet option (RFC 7871) as `address/prefix`, where it names a network.
    pub(crate) client_subnet: Option<String>,
    /// The options in their order, each a name and a text of printable ASCII characters. One that is not what its code
    /// asks for has its bytes in hexadecimal; where the list itself breaks off, what came before is here.
    pub(crate) options: Vec<(Cow<'static, str>, String)>,
    /// Some option was not what its code asks for, or the list broke off.
    pub(crate) malformed: bool,
    /// There were more than 64 options, or the text of one was longer than 1,024 bytes.
    pub(crate) cut: bool,
}

impl Opt {
    /// Reads the CLASS, TTL and RDATA of an OPT record. Allocates only where there are options.
    pub(crate) fn read(class: u16, ttl: u32, data: &[u8]) -> Self {
        let [extended_rcode_high, version, flags, _] = ttl.to_be_bytes();
        let mut opt = Self {
            udp_size: class,
            extended_rcode_high,
            version,
            dnssec_ok: flags & 0x80 != 0,
            ..Self::default()
        };
        let mut decoder = BinDecoder::new(data);
        while !decoder.is_empty() {
            let Some((code, value)) = option(&mut decoder) else {
                opt.malformed = true;
                break;
            };
            if opt.options.len() >= OPTIONS_MAX {
                opt.cut = true;
                break;
            }
            opt.push(code, value);
        }
        opt
    }

    /// Adds an option.
    fn push(&mut self, code: u16, value: &[u8]) {
        let mut text = Vec::with_capacity(USUAL);
        if code == 8
            && self.client_subnet.is_none()
            && let Some(subnet) = client_subnet(value)
        {
            self.client_subnet = Some(format!("{}/{}", subnet.addr(), subnet.source_prefix()));
        }
        if write_option(code, value, &mut text).is_none() {
            self.malformed = true;
            text.clear();
            hexadecimal(value, &mut text);
        }
        if text.len() > OPTION_TEXT_MAX {
            self.cut = true;
            text.truncate(OPTION_TEXT_MAX);
            text.extend_from_slice(b"...");
        }
        self.options.push((name(code), text_of(text)));
    }
}

/// The next option's code and value.
fn option<'a>(decoder: &mut BinDecoder<'a>) -> Option<(u16, &'a [u8])> {
    let code = decoder.read_u16().ok()?.unverified();
    let length = decoder.read_u16().ok()?.unverified();
    let value = decoder.read_slice(usize::from(length)).ok()?.unverified();
    Some((code, value))
}

/// The name of an option (IANA, DNS EDNS0 Option Codes), in lower case; `optionN` for those that have none.
fn name(code: u16) -> Cow<'static, str> {
    let known = match code {
        1 => "llq",
        2 => "update-lease",
        3 => "nsid",
        5 => "dau",
        6 => "dhu",
        7 => "n3u",
        8 => "client-subnet",
        9 => "expire",
        10 => "cookie",
        11 => "tcp-keepalive",
        12 => "padding",
        13 => "chain",
        14 => "key-tag",
        15 => "extended-error",
        16 => "client-tag",
        17 => "server-tag",
        18 => "report-channel",
        19 => "zoneversion",
        20 => "mqtype-query",
        21 => "mqtype-response",
        22 => "ede-extra-text-language",
        23 => "filtering-contact",
        24 => "filtering-organization",
        25 => "filtering-db",
        26 => "structured-dns-error",
        20_292 => "umbrella-ident",
        26_946 => "device-id",
        other => return Cow::Owned(format!("option{other}")),
    };
    Cow::Borrowed(known)
}

/// Appends the text of an option; `None` where the value is not what the code asks for.
fn write_option(code: u16, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut decoder = BinDecoder::new(value);
    match code {
        // Version, opcode, error, identifier, lease (RFC 8764, 3.2).
        1 => numbers(&mut decoder, &[2, 2, 2, 8, 4], out)?,
        // The lease, and perhaps another for keys (RFC 9664, section 4).
        2 if value.len() == 8 => numbers(&mut decoder, &[4, 4], out)?,
        2 => numbers(&mut decoder, &[4], out)?,
        // Whatever the server calls itself (RFC 5001); who filters, and why (draft-muks-dns-filtering).
        3 | 22..=25 => {
            escaped(value, out);
            return Some(());
        }
        // Algorithms (RFC 6975).
        5..=7 => {
            while !decoder.is_empty() {
                numbers(&mut decoder, &[1], out)?;
            }
        }
        8 => return write_client_subnet(value, out),
        // Seconds; empty in a query (RFC 7314).
        9 if value.is_empty() => {}
        9 => numbers(&mut decoder, &[4], out)?,
        // The client's half, and perhaps the server's (RFC 7873, section 4).
        10 if matches!(value.len(), 8 | 16..=40) => return bytes(value, out),
        10 => return None,
        // Units of 100 ms; empty in a query (RFC 7828, 3.1).
        11 if value.is_empty() => {}
        11 => {
            let tenths = u64::from(decoder.read_u16().ok()?.unverified());
            decimal(tenths / 10, out);
            out.push(b'.');
            decimal(tenths % 10, out);
        }
        // Only its length says something (RFC 7830).
        12 => {
            decimal(value.len() as u64, out);
            return Some(());
        }
        // The closest trust point (RFC 7901), the agent's domain (RFC 9567): a name, not compressed.
        13 | 18 => return read_uncompressed_name(value, out),
        // Key tags (RFC 8145, 4.1).
        14 => {
            while !decoder.is_empty() {
                numbers(&mut decoder, &[2], out)?;
            }
        }
        15 => return write_extended_error(&mut decoder, out),
        16 | 17 => numbers(&mut decoder, &[2], out)?,
        // Empty in a query; labels, type, version (RFC 9660, section 2).
        19 if value.is_empty() => {}
        19 => {
            numbers(&mut decoder, &[1, 1], out)?;
            out.push(b' ');
            let rest = decoder.len();
            hexadecimal(decoder.read_slice(rest).ok()?.unverified(), out);
        }
        // Further record types, asked for or answered (RFC 10029).
        20 | 21 => {
            let (types, rest) = value.as_chunks::<2>();
            for &record_type in types {
                if !out.is_empty() {
                    out.push(b' ');
                }
                let name = mnemonic::record_type(u16::from_be_bytes(record_type));
                out.extend_from_slice(name.as_bytes());
            }
            return rest.is_empty().then_some(());
        }
        _ => return bytes(value, out),
    }
    decoder.is_empty().then_some(())
}

/// Appends all bytes in hexadecimal.
fn bytes(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    hexadecimal(value, out);
    Some(())
}

/// Appends numbers of so many bytes each, with spaces between them.
fn numbers(decoder: &mut BinDecoder<'_>, lengths: &[usize], out: &mut Vec<u8>) -> Option<()> {
    for &length in lengths {
        let bytes = decoder.read_slice(length).ok().map(Restrict::unverified)?;
        if !out.is_empty() {
            out.push(b' ');
        }
        decimal(
            bytes
                .iter()
                .fold(0, |number, &byte| number << 8 | u64::from(byte)),
            out,
        );
    }
    Some(())
}

/// The client subnet of an option's value: of a family that is known, with as many bytes as its prefix needs
/// (RFC 7871, section 6).
fn client_subnet(value: &[u8]) -> Option<ClientSubnet> {
    let EdnsOption::Subnet(subnet) = EdnsOption::try_from((EdnsCode::Subnet, value)).ok()? else {
        return None;
    };
    (usize::from(subnet.len()) == value.len()).then_some(subnet)
}

/// Appends `address/source prefix/scope prefix`, as dig prints it; `0/0/0` for no family (`dig +subnet=0`).
fn write_client_subnet(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let text = match value {
        [0, 0, 0, 0] => "0/0/0".to_owned(),
        _ => {
            let subnet = client_subnet(value)?;
            format!(
                "{}/{}/{}",
                subnet.addr(),
                subnet.source_prefix(),
                subnet.scope_prefix()
            )
        }
    };
    out.extend_from_slice(text.as_bytes());
    Some(())
}

/// Appends `code`, `code purpose` or `code purpose: text` (RFC 8914, 2).
fn write_extended_error(decoder: &mut BinDecoder<'_>, out: &mut Vec<u8>) -> Option<()> {
    let code = decoder.read_u16().ok()?.unverified();
    decimal(u64::from(code), out);
    if let Some(purpose) = purpose(code) {
        out.push(b' ');
        out.extend_from_slice(purpose.as_bytes());
    }
    let rest = decoder.len();
    let text = decoder.read_slice(rest).ok()?.unverified();
    if !text.is_empty() {
        out.extend_from_slice(b": ");
        escaped(text, out);
    }
    Some(())
}

/// The purpose of an extended error (IANA, Extended DNS Error Codes).
fn purpose(code: u16) -> Option<&'static str> {
    Some(match code {
        0 => "Other Error",
        1 => "Unsupported DNSKEY Algorithm",
        2 => "Unsupported DS Digest Type",
        3 => "Stale Answer",
        4 => "Forged Answer",
        5 => "DNSSEC Indeterminate",
        6 => "DNSSEC Bogus",
        7 => "Signature Expired",
        8 => "Signature Not Yet Valid",
        9 => "DNSKEY Missing",
        10 => "RRSIGs Missing",
        11 => "No Zone Key Bit Set",
        12 => "NSEC Missing",
        13 => "Cached Error",
        14 => "Not Ready",
        15 => "Blocked",
        16 => "Censored",
        17 => "Filtered",
        18 => "Prohibited",
        19 => "Stale NXDomain Answer",
        20 => "Not Authoritative",
        21 => "Not Supported",
        22 => "No Reachable Authority",
        23 => "Network Error",
        24 => "Invalid Data",
        25 => "Signature Expired before Valid",
        26 => "Too Early",
        27 => "Unsupported NSEC3 Iterations Value",
        28 => "Unable to conform to policy",
        29 => "Synthesized",
        30 => "Invalid Query Type",
        31 => "Rate Limited",
        32 => "Over Quota",
        33 => "Negative Trust Anchor",
        34 => "New Delegation Only",
        35 => "Blocked by Upstream DNS Server",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
