//! The mnemonics of record types, classes and opcodes, as IANA's DNS parameters registry has them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A record type's mnemonic; `TYPEn` for those without one (RFC 3597, section 5).
#[must_use]
#[inline(always)]
pub fn record_type(number: u16) -> Cow<'static, str> {
    // Most are put where they stay at once, which takes one that is known in registers.
    match known_type(number) {
        Some(known) => Cow::Borrowed(known),
        None => unknown_type(number),
    }
}

#[cold]
fn unknown_type(number: u16) -> Cow<'static, str> {
    Cow::Owned(format!("TYPE{number}"))
}

const fn known_type(number: u16) -> Option<&'static str> {
    let known = match number {
        1 => "A",
        2 => "NS",
        3 => "MD",
        4 => "MF",
        5 => "CNAME",
        6 => "SOA",
        7 => "MB",
        8 => "MG",
        9 => "MR",
        10 => "NULL",
        11 => "WKS",
        12 => "PTR",
        13 => "HINFO",
        14 => "MINFO",
        15 => "MX",
        16 => "TXT",
        17 => "RP",
        18 => "AFSDB",
        19 => "X25",
        20 => "ISDN",
        21 => "RT",
        22 => "NSAP",
        23 => "NSAP-PTR",
        24 => "SIG",
        25 => "KEY",
        26 => "PX",
        27 => "GPOS",
        28 => "AAAA",
        29 => "LOC",
        30 => "NXT",
        31 => "EID",
        32 => "NIMLOC",
        33 => "SRV",
        34 => "ATMA",
        35 => "NAPTR",
        36 => "KX",
        37 => "CERT",
        38 => "A6",
        39 => "DNAME",
        40 => "SINK",
        41 => "OPT",
        42 => "APL",
        43 => "DS",
        44 => "SSHFP",
        45 => "IPSECKEY",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        49 => "DHCID",
        50 => "NSEC3",
        51 => "NSEC3PARAM",
        52 => "TLSA",
        53 => "SMIMEA",
        55 => "HIP",
        56 => "NINFO",
        57 => "RKEY",
        58 => "TALINK",
        59 => "CDS",
        60 => "CDNSKEY",
        61 => "OPENPGPKEY",
        62 => "CSYNC",
        63 => "ZONEMD",
        64 => "SVCB",
        65 => "HTTPS",
        66 => "DSYNC",
        67 => "HHIT",
        68 => "BRID",
        69 => "UNECE",
        70 => "ISO",
        99 => "SPF",
        100 => "UINFO",
        101 => "UID",
        102 => "GID",
        103 => "UNSPEC",
        104 => "NID",
        105 => "L32",
        106 => "L64",
        107 => "LP",
        108 => "EUI48",
        109 => "EUI64",
        128 => "NXNAME",
        249 => "TKEY",
        250 => "TSIG",
        251 => "IXFR",
        252 => "AXFR",
        253 => "MAILB",
        254 => "MAILA",
        255 => "ANY",
        256 => "URI",
        257 => "CAA",
        258 => "AVC",
        259 => "DOA",
        260 => "AMTRELAY",
        261 => "RESINFO",
        262 => "WALLET",
        263 => "CLA",
        264 => "IPN",
        32768 => "TA",
        32769 => "DLV",
        _ => return None,
    };
    Some(known)
}

/// A class's mnemonic (RFC 1035, 3.2.4 and 3.2.5; RFC 2136, 1.3); `CLASSn` for those without one (RFC 3597, section 5).
#[must_use]
pub fn class(number: u16) -> Cow<'static, str> {
    let known = match number {
        1 => "IN",
        3 => "CH",
        4 => "HS",
        254 => "NONE",
        255 => "ANY",
        other => return Cow::Owned(format!("CLASS{other}")),
    };
    Cow::Borrowed(known)
}

/// An opcode's mnemonic; `OPCODEn` for those without one.
#[must_use]
pub fn opcode(number: u8) -> Cow<'static, str> {
    let known = match number {
        0 => "QUERY",
        1 => "IQUERY",
        2 => "STATUS",
        4 => "NOTIFY",
        5 => "UPDATE",
        6 => "DSO",
        other => return Cow::Owned(format!("OPCODE{other}")),
    };
    Cow::Borrowed(known)
}

/// An RCODE's mnemonic (IANA, DNS RCODEs); `RCODEn` for those without one. 16 is that of EDNS.
#[must_use]
pub fn rcode(number: u16) -> Cow<'static, str> {
    let known = match number {
        11 => Some("DSOTYPENI"),
        16 => Some("BADVERS"),
        _ => signature_error(number),
    };
    known.map_or_else(|| Cow::Owned(format!("RCODE{number}")), Cow::Borrowed)
}

/// The number of a record type by its mnemonic, also of `TYPEn`; `None` for anything else.
#[must_use]
pub fn record_type_number(name: &str) -> Option<u16> {
    static KNOWN: LazyLock<HashMap<&str, u16>> = LazyLock::new(|| known(record_type));
    number(name, "TYPE", &KNOWN)
}

/// The number of a class by its mnemonic, also of `CLASSn`; `None` for anything else.
#[must_use]
pub fn class_number(name: &str) -> Option<u16> {
    static KNOWN: LazyLock<HashMap<&str, u16>> = LazyLock::new(|| known(class));
    number(name, "CLASS", &KNOWN)
}

/// The numbers that have a mnemonic of their own.
fn known(name: fn(u16) -> Cow<'static, str>) -> HashMap<&'static str, u16> {
    let of = |number| match name(number) {
        Cow::Borrowed(name) => Some((name, number)),
        Cow::Owned(_) => None,
    };
    (0..=u16::MAX).filter_map(of).collect()
}

fn number(name: &str, unknown: &str, known: &HashMap<&str, u16>) -> Option<u16> {
    let unknown = || name.strip_prefix(unknown)?.parse().ok();
    known.get(name).copied().or_else(unknown)
}

/// The name of a CERT record's type (RFC 4398, 2.1).
pub(crate) fn certificate_type(number: u16) -> Option<&'static str> {
    Some(match number {
        1 => "PKIX",
        2 => "SPKI",
        3 => "PGP",
        4 => "IPKIX",
        5 => "ISPKI",
        6 => "IPGP",
        7 => "ACPKIX",
        8 => "IACPKIX",
        253 => "URI",
        254 => "OID",
        _ => return None,
    })
}

/// The name of a DNSSEC algorithm (IANA, DNS Security Algorithm Numbers).
pub(crate) fn algorithm(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "RSAMD5",
        2 => "DH",
        3 => "DSA",
        5 => "RSASHA1",
        6 => "NSEC3DSA",
        7 => "NSEC3RSASHA1",
        8 => "RSASHA256",
        10 => "RSASHA512",
        12 => "ECCGOST",
        13 => "ECDSAP256SHA256",
        14 => "ECDSAP384SHA384",
        15 => "ED25519",
        16 => "ED448",
        252 => "INDIRECT",
        253 => "PRIVATEDNS",
        254 => "PRIVATEOID",
        _ => return None,
    })
}

/// The name of a DSYNC record's scheme (RFC 9859, 2.1).
pub(crate) fn notify_scheme(number: u8) -> Option<&'static str> {
    (number == 1).then_some("NOTIFY")
}

/// The name of an RCODE as TSIG and TKEY have it in their RDATA (RFC 8945, section 3): 16 is BADSIG there, not BADVERS.
pub(crate) fn signature_error(number: u16) -> Option<&'static str> {
    Some(match number {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        16 => "BADSIG",
        17 => "BADKEY",
        18 => "BADTIME",
        19 => "BADMODE",
        20 => "BADNAME",
        21 => "BADALG",
        22 => "BADTRUNC",
        23 => "BADCOOKIE",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown() {
        assert_eq!(record_type(65), "HTTPS");
        assert_eq!(record_type(23), "NSAP-PTR");
        // Those that hickory has no name for, by their first and last.
        assert_eq!(record_type(66), "DSYNC");
        assert_eq!(record_type(103), "UNSPEC");
        assert_eq!(record_type(128), "NXNAME");
        assert_eq!(record_type(264), "IPN");
        assert_eq!(record_type(265), "TYPE265");
        assert_eq!(record_type(32769), "DLV");
        assert_eq!(record_type(0), "TYPE0");
        assert_eq!(record_type(65280), "TYPE65280");
        assert_eq!(class(1), "IN");
        assert_eq!(class(2), "CLASS2");
        assert_eq!(opcode(5), "UPDATE");
        assert_eq!(opcode(3), "OPCODE3");
    }

    #[test]
    fn known_ones_are_not_allocated() {
        let borrowed = |text: Cow<'static, str>| matches!(text, Cow::Borrowed(_));
        assert_eq!(
            (0..=u16::MAX)
                .filter(|&number| borrowed(record_type(number)))
                .count(),
            RECORD_TYPES
        );
        assert_eq!(
            (0..=u16::MAX)
                .filter(|&number| borrowed(class(number)))
                .count(),
            5
        );
        assert_eq!(
            (0..=u8::MAX)
                .filter(|&number| borrowed(opcode(number)))
                .count(),
            6
        );
    }

    #[test]
    fn numbers_come_back() {
        for number in 0..=u16::MAX {
            assert_eq!(record_type_number(&record_type(number)), Some(number));
            assert_eq!(class_number(&class(number)), Some(number));
        }
        assert_eq!(record_type_number("unknown"), None);
        assert_eq!(class_number("unknown"), None);
    }

    #[test]
    fn response_codes() {
        for (number, name) in [
            (0, "NOERROR"),
            (3, "NXDOMAIN"),
            (11, "DSOTYPENI"),
            (16, "BADVERS"),
            (23, "BADCOOKIE"),
            (24, "RCODE24"),
        ] {
            assert_eq!(rcode(number), name);
        }
    }

    /// How many record types have a mnemonic in IANA's registry, as of October 2026.
    const RECORD_TYPES: usize = 99;

    /// hickory knows fewer types, under the same names.
    #[test]
    fn hickory_agrees() {
        for number in 0..=u16::MAX {
            let theirs = hickory_proto::rr::RecordType::from(number);
            if !matches!(
                theirs,
                hickory_proto::rr::RecordType::Unknown(_)
                    | hickory_proto::rr::RecordType::ZERO
                    | hickory_proto::rr::RecordType::ANAME
            ) {
                assert_eq!(record_type(number), theirs.to_string(), "{number}");
            }
        }
    }
}
