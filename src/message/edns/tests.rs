//! The expected values are dig 9.18's reading of the same bytes, in the words of this module; from option 20 on, those of
//! RFC 10029 and of draft-muks-dns-filtering.

use proptest::prelude::*;

use super::*;

fn bytes(digits: &str) -> Vec<u8> {
    let digits = digits.replace(' ', "");
    let pairs = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

fn read(digits: &str) -> Opt {
    Opt::read(1232, 0x0000_8000, &bytes(digits))
}

#[test]
fn the_fixed_fields() {
    let opt = Opt::read(4096, 0x0100_8000, &[]);
    assert_eq!(
        (
            opt.udp_size,
            opt.extended_rcode_high,
            opt.version,
            opt.dnssec_ok
        ),
        (4096, 1, 0, true)
    );
    assert!(opt.options.is_empty() && opt.client_subnet.is_none() && !opt.malformed);
    let opt = Opt::read(512, 0x0001_7fff, &[]);
    assert_eq!(
        (opt.extended_rcode_high, opt.version, opt.dnssec_ok),
        (0, 1, false)
    );
}

#[test]
fn options_by_name() {
    for (digits, name, text) in [
        (
            "0008 0007 0001 18 00 c00002",
            "client-subnet",
            "192.0.2.0/24/0",
        ),
        (
            "0008 0007 0001 18 18 c00002",
            "client-subnet",
            "192.0.2.0/24/24",
        ),
        (
            "0008 000b 0002 38 00 20010db8000001",
            "client-subnet",
            "2001:db8:0:100::/56/0",
        ),
        ("0008 0004 0001 00 00", "client-subnet", "0.0.0.0/0/0"),
        ("0008 0004 0000 00 00", "client-subnet", "0/0/0"),
        ("000a 0008 0102030405060708", "cookie", "0102030405060708"),
        (
            "000a 0010 01020304050607080910111213141516",
            "cookie",
            "01020304050607080910111213141516",
        ),
        ("000f 0002 0012", "extended-error", "18 Prohibited"),
        (
            "000f 000f 0006 626164207369676e6174757265",
            "extended-error",
            "6 DNSSEC Bogus: bad signature",
        ),
        ("000f 0002 0063", "extended-error", "99"),
        (
            "000f 0004 0000 c3a9",
            "extended-error",
            r"0 Other Error: \195\169",
        ),
        ("0003 0006 6e73312d6162", "nsid", "ns1-ab"),
        ("0003 0002 005c", "nsid", r"\000\\"),
        ("0003 0000", "nsid", ""),
        ("000b 0002 012c", "tcp-keepalive", "30.0"),
        ("000b 0000", "tcp-keepalive", ""),
        ("000c 0004 00000000", "padding", "4"),
        ("000c 0000", "padding", "0"),
        ("0009 0004 00015180", "expire", "86400"),
        ("0009 0000", "expire", ""),
        ("000d 000a 05 6e67526f6b 02 696f 00", "chain", "ngrok.io"),
        ("0012 0001 00", "report-channel", "."),
        ("000e 0004 4f664a5c", "key-tag", "20326 19036"),
        (
            "0001 0012 0001 0001 0000 0000000000000001 00000e10",
            "llq",
            "1 1 0 1 3600",
        ),
        ("0002 0004 00000e10", "update-lease", "3600"),
        ("0002 0008 00000e10 00015180", "update-lease", "3600 86400"),
        ("0005 0002 080d", "dau", "8 13"),
        ("0010 0002 0007", "client-tag", "7"),
        ("0013 0006 02 00 78c3a1b0", "zoneversion", "2 0 78c3a1b0"),
        ("4f44 0002 aabb", "umbrella-ident", "aabb"),
        ("fde9 0002 aabb", "option65001", "aabb"),
        ("0014 0004 001c 0041", "mqtype-query", "AAAA HTTPS"),
        ("0015 0002 ff00", "mqtype-response", "TYPE65280"),
        ("0015 0000", "mqtype-response", ""),
        ("0016 0002 6465", "ede-extra-text-language", "de"),
        (
            "0017 000e 6d61696c746f3a6140622e6e6574",
            "filtering-contact",
            "mailto:a@b.net",
        ),
        ("0018 0003 c384 47", "filtering-organization", r"\195\132G"),
        ("0019 0003 52505a", "filtering-db", "RPZ"),
        ("001a 0002 aabb", "structured-dns-error", "aabb"),
        ("001b 0002 aabb", "option27", "aabb"),
        ("0000 0000", "option0", ""),
    ] {
        let opt = read(digits);
        assert_eq!(opt.options, [(name.into(), text.to_owned())], "{digits}");
        assert!(!opt.malformed, "{digits}");
    }
}

#[test]
fn the_client_subnet() {
    assert_eq!(
        read("0008 0007 0001 18 10 c00002").client_subnet.unwrap(),
        "192.0.2.0/24"
    );
    assert_eq!(
        read("0008 000b 0002 38 00 20010db8000001")
            .client_subnet
            .unwrap(),
        "2001:db8:0:100::/56"
    );
    assert_eq!(read("0008 0004 0000 00 00").client_subnet, None);
    // The first one counts.
    let both = read("0008 0007 0001 18 00 c00002 0008 0005 0001 08 00 0a");
    assert_eq!(
        (both.client_subnet.unwrap(), both.options.len()),
        ("192.0.2.0/24".into(), 2)
    );
}

#[test]
fn a_broken_option_spoils_itself_alone() {
    for digits in [
        "0008 0006 0001 18 00 c000",       // too few bytes
        "0008 0008 0001 18 00 c0000200",   // too many
        "0008 0009 0001 21 00 c000020100", // a prefix of 33 bits
        "0008 0007 0003 18 00 c00002",     // a family that is not known
        "0008 0001 00",
        "000a 0007 01020304050607",
        "000a 0009 010203040506070809",
        "000b 0001 01",
        "0009 0002 0001",
        "000d 0002 0161",
        "000d 0002 0000",
        "000d 0005 02 0000 c001", // a pointer, to the end that its label holds
        "0012 0002 c000",
        "0014 0003 001c00",
        "000e 0001 4f",
        "000f 0001 00",
        "0001 0002 0001",
        "0002 0003 000001",
        "0010 0001 00",
        "0013 0001 02",
    ] {
        let opt = read(&format!("{digits} 000c 0001 00"));
        assert!(opt.malformed, "{digits}");
        assert_eq!(bytes(&opt.options[0].1), bytes(digits)[4..], "{digits}");
        assert_eq!(opt.options[1], ("padding".into(), "1".into()), "{digits}");
        assert_eq!(opt.client_subnet, None, "{digits}");
    }
}

#[test]
fn a_list_that_breaks_off_keeps_what_came_before() {
    for end in ["00", "000a", "000a 00", "000a 0008 01020304"] {
        let opt = read(&format!("000c 0001 00 {end}"));
        assert_eq!(opt.options, [("padding".into(), "1".to_owned())], "{end}");
        assert!(opt.malformed, "{end}");
    }
}

#[test]
fn options_are_bounded_in_number() {
    let sixty_four = read(&"000c 0000".repeat(64));
    assert!(!sixty_four.cut && !sixty_four.malformed);
    let more = read(&"000c 0000".repeat(65));
    assert!(more.cut && !more.malformed);
    assert_eq!(more.options.len(), 64);
}

#[test]
fn options_are_bounded_in_length() {
    let longest = read(&format!("fde9 0200 {}", "ab".repeat(512)));
    assert!(!longest.cut);
    assert_eq!(longest.options[0].1, "ab".repeat(512));
    let longer = read(&format!("fde9 0201 {} 000c 0000", "ab".repeat(513)));
    assert!(longer.cut && !longer.malformed);
    assert_eq!(longer.options[0].1, format!("{}...", "ab".repeat(512)));
    assert_eq!(longer.options[1].0, "padding");
    // A padding is as long as it says, for only that is shown.
    let padded = read(&format!("000c ffff {}", "00".repeat(0xFFFF)));
    assert_eq!(padded.options, [("padding".into(), "65535".to_owned())]);
    assert!(!padded.cut);
}

proptest! {
    #[test]
    fn any_bytes_give_printable_text(
        ttl in any::<u32>(),
        options in prop::collection::vec((0..28_u16, prop::collection::vec(any::<u8>(), 0..24)), 0..6),
        cut in 0..200_usize,
    ) {
        let mut data = Vec::new();
        for (code, value) in &options {
            data.extend_from_slice(&code.to_be_bytes());
            data.extend_from_slice(&(value.len() as u16).to_be_bytes());
            data.extend_from_slice(value);
        }
        let whole = Opt::read(512, ttl, &data);
        prop_assert_eq!(whole.options.len(), options.len());
        data.truncate(cut);
        let opt = Opt::read(512, ttl, &data);
        // What comes later changes nothing before it.
        prop_assert!(whole.options.starts_with(&opt.options));
        for (name, text) in &opt.options {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", text);
            prop_assert!(text.len() <= OPTION_TEXT_MAX + 3);
        }
    }
}
