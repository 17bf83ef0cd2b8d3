//! The expected texts were not made by this code: dnspython 2.9 (or a person, from the RFC) made the bytes, and dig 9.18
//! printed them, served one by one. Three conventions were then laid over dig's text: names lose their final dot and
//! become lower case, hexadecimal and Base32 become lower case, and the SVCB keys that dig 9.18 does not know have their names.
//! What stands after the line *Later than dig 9.18* was printed by dnspython 2.9.2, with the same conventions; IPN and CLA,
//! which neither knows, are the words of draft-johnson-dns-ipn-cla-07, and `tls-supported-groups` those of its draft.

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{
    BinDecoder, BinEncodable, BinEncoder, NameEncoding, Restrict,
};
use proptest::prelude::*;

use super::*;

fn shown(message: &[u8], record_type: u16, start: usize, end: usize) -> (bool, String) {
    let mut out = Vec::new();
    let sound = present(message, record_type, start, end, &mut out);
    (sound, String::from_utf8(out).unwrap())
}

fn shown_alone(record_type: u16, data: &[u8]) -> (bool, String) {
    shown(data, record_type, 0, data.len())
}

/// The form for unknown types, written another way.
fn generic(data: &[u8]) -> String {
    let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\\# {} {digits}", data.len()).trim_end().to_owned()
}

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

/// Type, RDATA, presentation form.
#[rustfmt::skip]
const GOLDEN: &[(u16, &str, &str)] = &[
    (1, "cb007107", "203.0.113.7"),
    (2, "036e7331074578616d706c6503434f4d00", "ns1.example.com"),
    (3, "026d64076578616d706c6500", "md.example"),
    (4, "026d66076578616d706c6500", "mf.example"),
    (5, "0674756e6e656c026575056e67726f6b03636f6d00", "tunnel.eu.ngrok.com"),
    (6, "036e7331076578616d706c65000b686f73742e6d6173746572076578616d706c650078c2765b00001c2000000e10001275000000012c", r"ns1.example host\.master.example 2026010203 7200 3600 1209600 300"),
    (7, "026d62076578616d706c6500", "mb.example"),
    (8, "026d67076578616d706c6500", "mg.example"),
    (9, "026d72076578616d706c6500", "mr.example"),
    (11, "0a000001060000004000000000000080", "10.0.0.1 6 25 80"),
    (12, "01370331313301300332303307696e2d61646472046172706100", "7.113.0.203.in-addr.arpa"),
    (13, "0b494e54454c20223338362208556e69785c425344", r#""INTEL \"386\"" "Unix\\BSD""#),
    (14, "056f776e6572076578616d706c6500066572726f7273076578616d706c6500", "owner.example errors.example"),
    (15, "000a046d61696c076578616d706c6500", "10 mail.example"),
    (15, "000000", "0 ."),
    (16, "0b763d73706631202d616c6c", r#""v=spf1 -all""#),
    (16, "036f6e650c74776f202271756f74656422000d6261636b5c736c6173683b07ff", r#""one" "two \"quoted\"" "" "back\\slash;\007\255""#),
    (17, "0561646d696e076578616d706c65000474657874076578616d706c6500", "admin.example text.example"),
    (18, "000103616673076578616d706c6500", "1 afs.example"),
    (19, "0c333131303631373030393536", r#""311061700956""#),
    (20, "0f31353038363230323830303332313703303034", r#""150862028003217" "004""#),
    (20, "0f313530383632303238303033323137", r#""150862028003217""#),
    (21, "000a0572656c6179076578616d706c6500", "10 relay.example"),
    (22, "47000580005a0000000001e133ffffff00016100", "0x47000580005a0000000001e133ffffff00016100"),
    (23, "03666f6f076578616d706c6500", "foo.example"),
    (26, "000a066d6170383232076578616d706c6500076d617078343030076578616d706c6500", "10 map822.example mapx400.example"),
    (27, "082d33322e36383832083131362e383635320431302e30", r#""-32.6882" "116.8652" "10.0""#),
    (28, "20010db8000000000001000000000001", "2001:db8::1:0:0:1"),
    (28, "00000000000000000000ffffc0000201", "::ffff:192.0.2.1"),
    (28, "00000000000000000000000000000000", "::"),
    (29, "0033161389172dd070be15f000988d20", "42 21 54.000 N 71 6 18.000 W -24.00m 30m 10000m 10m"),
    (29, "001099918b3556c88008165000989a68", "52 14 5.000 N 0 8 50.000 E 10.00m 0.01m 90000000m 0.90m"),
    (33, "000a003c13c403736970076578616d706c6500", "10 60 5060 sip.example"),
    (35, "0064003201730d7a333935302b49324c2b49324300065f7a33393530045f74637006676174656368076578616d706c6500", r#"100 50 "s" "z3950+I2L+I2C" "" _z3950._tcp.gatech.example"#),
    (35, "0064000a0175074532552b73697019215e282e2a2924217369703a5c3140782e6578616d706c652100", r#"100 10 "u" "E2U+sip" "!^(.*)$!sip:\\1@x.example!" ."#),
    (36, "000a026b78076578616d706c6500", "10 kx.example"),
    (37, "000130390830820122300d06092a", "PKIX 12345 RSASHA256 MIIBIjANBgkq"),
    (39, "06746172676574076578616d706c6500", "target.example"),
    (42, "00011503c0a82000011c83c0a8260002200420010db8", "1:192.168.32.0/21 !1:192.168.38.0/28 2:2001:db8::/32"),
    (43, "ec4505012bb183af5f22588179a53b0a98631fad1a292118", "60485 5 1 2bb183af5f22588179a53b0a98631fad1a292118"),
    (44, "0201123456789abcdef67890123456789abcdef67890", "2 1 123456789abcdef67890123456789abcdef67890"),
    (45, "0a0102c0000226010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801", "10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="),
    (45, "0a0002010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801", "10 0 2 . AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="),
    (45, "0a0302096d7967617465776179076578616d706c6500010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801", "10 3 2 mygateway.example AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="),
    (45, "0a020220010db8000080020000000020000001010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801", "10 2 2 2001:db8:0:8002::2000:1 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="),
    (46, "00010503000151803e7c9dd73e5510d70a52076578616d706c6503636f6d00a090755ba58d1affa576f4375831b4310920e481218d18a9f164eb3d81afd3b875d3c75428631e0cf2a28d50875f70c329d7dbfafea807dc1fba1dc34c95d401f2", "A 5 3 86400 20030322173103 20030220173103 2642 example.com oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTrPYGv07h108dUKGMeDPKijVCHX3DDKdfb+v6oB9wfuh3DTJXUAfI="),
    (46, "ff000d020000012cffffffff00000000ffff00000102", "TYPE65280 13 2 300 21060207062815 19700101000000 65535 . AAEC"),
    (47, "04686f7374076578616d706c6503636f6d000006400100000003041b000000000000000000000000000000000000000000000000000020", "host.example.com A MX RRSIG NSEC TYPE1234"),
    (48, "0101030803010001acffb409bcc939f831f7a1e5ec88f7a59255ec53040be432027390a4ce896d6f9086f3c5e177", "257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3"),
    (49, "000201636fc0b8271c82825bb1ac5c41cf5351aa69b4febd94e8f17cdb95000da48c40", "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="),
    (50, "0101000c04aabbccdd14174eb2409fe28bcb4887a1836f957f0a8425e27b000722010000000290", "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr NS SOA MX RRSIG DNSKEY NSEC3PARAM"),
    (50, "010000000014174eb2409fe28bcb4887a1836f957f0a8425e27b", "1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr"),
    (51, "0100000c04aabbccdd", "1 0 12 aabbccdd"),
    (51, "0100000000", "1 0 0 -"),
    (52, "030101d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971", "3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"),
    (53, "030001d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971", "3 0 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"),
    (55, "10020084200100107b1a74df365639cc39f1d57803010001b771ca136e4aeb5ce44333c53b3d2c13c22243851fc708bcce29f7e2eb5787b5f56ccad34f8223acc10904ddb56b2ec4a6d6232f3b50ea094f0914b3b941bbe529af582c36bbadefdaf2adaf9b4911906f5b2522603c615272b880ec8fb930cc6ee39c444daa75b1678f005a4b2499d1da5433f805c7a5ad3237acc5dd5c5e430472767331076578616d706c6503636f6d000472767332076578616d706c6503636f6d00", "2 200100107b1a74df365639cc39f1d578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p9+LrV4e19WzK00+CI6zBCQTdtWsuxKbWIy87UOoJTwkUs7lBu+Upr1gsNrut79ryra+bSRGQb1slImA8YVJyuIDsj7kwzG7jnERNqnWxZ48AWkskmdHaVDP4BcelrTI3rMXdXF5D rvs1.example.com rvs2.example.com"),
    (55, "10020006200100107b1a74df365639cc39f1d57803010001b771", "2 200100107b1a74df365639cc39f1d578 AwEAAbdx"),
    (56, "0b7a6f6e6520737461747573026f6b", r#""zone status" "ok""#),
    (57, "0000030803010001acffb409bc", "0 3 8 AwEAAaz/tAm8"),
    (58, "0470726576076578616d706c650000", "prev.example ."),
    (59, "0000000000", "0 0 0 00"),
    (60, "0000030000", "0 3 0 AA=="),
    (61, "99010d0455479b9b010800a6", "mQENBFVHm5sBCACm"),
    (62, "000000420003000460000008", "66 3 A NS AAAA"),
    (63, "7848b91c0101c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c", "2018031900 1 1 c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c"),
    (64, "000003666f6f076578616d706c6503636f6d00", "0 foo.example.com"),
    (64, "001003666f6f076578616d706c65036f7267000000000400010004000100090268320568332d313900040004c0000201", r#"16 foo.example.org mandatory=alpn,ipv4hint alpn="h2,h3-19" ipv4hint=192.0.2.1"#),
    (64, "000103666f6f076578616d706c6503636f6d00029b000968656c6c6fd2716f6f", r#"1 foo.example.com key667="hello\210qoo""#),
    (64, "000103666f6f076578616d706c6503636f6d000006002020010db800000000000000000000000120010db8000000000000000000530001", "1 foo.example.com ipv6hint=2001:db8::1,2001:db8::53:1"),
    (64, "001003666f6f076578616d706c65036f7267000001000c08665c6f6f2c626172026832", r#"16 foo.example.org alpn="f\\\\oo\\,bar,h2""#),
    (65, "00010000010003026832000200000003000220fb00040008c0000201c00002020005000a0008fe0d0004aabbccdd0006001020010db8000000000000000000000001", r#"1 . alpn="h2" no-default-alpn port=8443 ipv4hint=192.0.2.1,192.0.2.2 ech=AAj+DQAEqrvM3Q== ipv6hint=2001:db8::1"#),
    (99, "1f763d7370663120696e636c7564653a6578616d706c652e636f6d202d616c6c", r#""v=spf1 include:example.com -all""#),
    (104, "000a00144fffff20ee64", "10 14:4fff:ff20:ee64"),
    (105, "000a0a010200", "10 10.1.2.0"),
    (106, "000a20010db811401000", "10 2001:db8:1140:1000"),
    (107, "000a0b6c36342d7375626e657431076578616d706c6503636f6d00", "10 l64-subnet1.example.com"),
    (108, "00005e00532a", "00-00-5e-00-53-2a"),
    (109, "00005eef1000002a", "00-00-5e-ef-10-00-00-2a"),
    (256, "000a00016674703a2f2f667470312e6578616d706c652e636f6d2f7075626c69633f613d226222", r#"10 1 "ftp://ftp1.example.com/public?a=\"b\"""#),
    (257, "000569737375656c657473656e63727970742e6f72673b2076616c69646174696f6e6d6574686f64733d646e732d3031", r#"0 issue "letsencrypt.org; validationmethods=dns-01""#),
    (257, "8003746273556e6b6e6f776e", r#"128 tbs "Unknown""#),
    (258, "1f6170702d6e616d653a574f4c4647414e477c6170702d636c6173733a4f414d", r#""app-name:WOLFGANG|app-class:OAM""#),
    (260, "0a01cb00710f", "10 0 1 203.0.113.15"),
    (260, "0a8220010db8000000000000000000000015", "10 1 2 2001:db8::15"),
    (260, "808309616d7472656c617973076578616d706c6503636f6d00", "128 1 3 amtrelays.example.com"),
    (260, "0a00", "10 0 0 ."),
    (24, "0001050100000e10386d4380386d43800001047369676e00010203", "A 5 1 3600 20000101000000 20000101000000 1 sign AQID"),
    (25, "c0000303", "49152 3 3"),
    (25, "0100030501aabb", "256 3 5 Aaq7"),
    (30, "036e7874006220000400000008", "nxt A NS SOA NULL LOC CDNSKEY"),
    (31, "00010203", "00010203"),
    (32, "00010203", "00010203"),
    (34, "0047000580ffe100", "47000580ffe100"),
    (34, "0131343135", "+1415"),
    (38, "00000102030405060708090a0b0c0d0e0f", "0 1:203:405:607:809:a0b:c0d:e0f"),
    (38, "40000000000000000103737562036e657400", "64 ::1 sub.net"),
    (38, "8003737562036e657400", "128 sub.net"),
    (38, "0a200102030405060708090a0b0c0d0e036e657400", "10 20:102:304:506:708:90a:b0c:d0e net"),
    (40, "0102030405", "1 2 3 BAU="),
    (259, "0000000100000002010a746578742f706c61696eaabbcc", r#"1 2 1 "text/plain" qrvM"#),
    (259, "00000001000000020100", r#"1 2 1 "" -"#),
    (32768, "ec4505012BB183AF5F22588179A53B0A98631FAD1A292118", "60485 5 1 2bb183af5f22588179a53b0a98631fad1a292118"),
    (32769, "ec450502d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971", "60485 5 2 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"),
    (249, "086773732d74736967005f0ea0d35f0ff253000300000004010203040000", "gss-tsig 1594794195 1594880595 3 NOERROR 4 AQIDBA== 0"),
    (249, "086773732d747369670000000000000000000002001300000002aabb", "gss-tsig 0 0 2 BADMODE 0 2 qrs="),
    (250, "0b686d61632d7368613235360000005f0ea0d3012c0004a1b2c3d4d63000000000", "hmac-sha256 1594794195 300 4 obLD1A== 54832 NOERROR 0"),
    (250, "0b686d61632d7368613235360000005f0ea0d3012c0000d6300012000600005f0ea0d4", "hmac-sha256 1594794195 300 0 54832 BADTIME 6 AABfDqDU"),
    (250, "08686d61632d6d6435077369672d616c670372656703696e7400ffff5f0ea0d3012c0001aad63000170000", "hmac-md5.sig-alg.reg.int 281472276537555 300 1 qg== 54832 BADCOOKIE 0"),
    (60, "0000030000", "0 3 0 AA=="),
    (37, "00fe0000fdaabb", "OID 0 PRIVATEDNS qrs="),
    (37, "ffffffff09aa", "65535 65535 9 qg=="),
    (64, "0001000001000302c3a9", r#"1 . alpn="\195\169""#),
    (65, "00010000000002000100010003026832000700102f646e732d71756572797b3f646e737d00080000", r#"1 . mandatory=alpn alpn="h2" dohpath="/dns-query{?dns}" ohttp"#),
    (65, "0001000001000903aaaa2c025c220120", r#"1 . alpn="\170\170\\,,\\\\\", ""#),
    (33, "00000000000000", "0 0 0 ."),
    (13, "0000", r#""" """#),
    (99, "00", r#""""#),
    // Later than dig 9.18.
    (66, "003b0114ef0b6364732d7363616e6e6572076578616d706c65036e657400", "CDS NOTIFY 5359 cds-scanner.example.net"),
    (66, "000600000000", "SOA 0 0 ."),
    (66, "ff008000350b6364732d7363616e6e6572076578616d706c65036e657400", "TYPE65280 128 53 cds-scanner.example.net"),
    (67, "8501021a", "hQECGg=="),
    (68, "a20001", "ogAB"),
    (261, "08716e616d656d696e0e6578746572723d31352d31372020", r#""qnamemin" "exterr=15-17  ""#),
    (262, "034554480a3078396422384137465c", r#""ETH" "0x9d\"8A7F\\""#),
    (262, "00", r#""""#),
    (263, "095443502d76342d7634094c54502d76342d7636", r#""TCP-v4-v4" "LTP-v4-v6""#),
    (264, "00000000000ee868", "977000"),
    (264, "ffffffffffffffff", "18446744073709551615"),
    (64, "000100000a0000", "1 . docpath"),
    (64, "000100000a000603646e730171", r#"1 . docpath="dns,q""#),
    (64, "000100000a000803642c73035c22c3", r#"1 . docpath="d\\,s,\\\\\"\195""#),
    (64, "00010000090004001d0017", "1 . tls-supported-groups=29,23"),
    (64, "000100000b0000000c000161", r#"1 . pvd oots="a""#),
];

#[test]
fn every_type_prints_as_dig_prints_it() {
    for &(record_type, digits, text) in GOLDEN {
        assert_eq!(
            shown_alone(record_type, &bytes(digits)),
            (true, text.to_owned()),
            "type {record_type}"
        );
    }
}

#[test]
fn every_layout_has_a_golden_text() {
    for record_type in 0..=u16::MAX {
        if !layout(record_type).is_empty() {
            assert!(
                GOLDEN.iter().any(|golden| golden.0 == record_type),
                "type {record_type}"
            );
        }
    }
}

/// hickory reads the printed text as a zone file's and writes it for the wire again: the same bytes must come out.
#[test]
fn hickory_reads_the_text_back() {
    let mut compared = std::collections::BTreeSet::new();
    for &(record_type, digits, text) in GOLDEN {
        // hickory takes `\DDD` for a character, not for a byte, and does not unescape lists twice (RFC 9460, A.1).
        if [r"\1", r"\2", r"\\\\"]
            .iter()
            .any(|escape| text.contains(escape))
        {
            continue;
        }
        let Ok(read) = RData::try_from_str(RecordType::from(record_type), text) else {
            continue;
        };
        let mut written = Vec::new();
        let mut encoder = BinEncoder::new(&mut written);
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        read.emit(&mut encoder).unwrap();
        assert!(
            written.eq_ignore_ascii_case(&bytes(digits)),
            "type {record_type}: {text}"
        );
        compared.insert(record_type);
    }
    let expected = [
        1, 2, 5, 6, 12, 13, 15, 16, 28, 33, 35, 37, 43, 44, 52, 53, 61, 62, 64, 65, 257,
    ];
    assert_eq!(compared.into_iter().collect::<Vec<_>>(), expected);
}

/// hickory's own reader takes whatever is sound, but for a protocol name that is not UTF-8.
#[test]
fn hickory_reads_the_bytes() {
    for &(record_type, digits, text) in GOLDEN {
        let data = bytes(digits);
        let mut decoder = BinDecoder::new(&data);
        let length = Restrict::new(u16::try_from(data.len()).unwrap());
        let read = RData::read(&mut decoder, RecordType::from(record_type), length);
        assert_eq!(
            read.is_ok(),
            !text.contains(r"\170"),
            "type {record_type}: {text}"
        );
    }
}

/// A message that begins with a header's worth of zeros and `NGROK.io` at 12, then an RDATA.
fn after_name(data: &[u8]) -> (Vec<u8>, usize) {
    let mut message = vec![0; 12];
    message.extend_from_slice(b"\x05NGROK\x02io\0");
    let start = message.len();
    message.extend_from_slice(data);
    (message, start)
}

#[test]
fn names_are_followed_wherever_they_stand() {
    for (record_type, digits, text) in [
        (5, "01 61 c00c", "a.ngrok.io"),
        (
            6,
            "c00c c012 00000001 00000002 00000003 00000004 00000005",
            "ngrok.io io 1 2 3 4 5",
        ),
        (15, "000a 044d41494c c00c", "10 mail.ngrok.io"),
        (33, "0001 0002 0035 c00c", "1 2 53 ngrok.io"),
        (35, "0001 0002 00 00 00 c012", r#"1 2 "" "" "" io"#),
        (39, "c015", "."),
        (45, "0a 03 00 c00c", "10 3 0 ngrok.io"),
        (
            46,
            "0001 08 02 0000012c 00000000 00000000 0001 c00c ff",
            "A 8 2 300 19700101000000 19700101000000 1 ngrok.io /w==",
        ),
        (47, "0178 c00c 0001 40", "x.ngrok.io A"),
        (55, "01 02 0001 aa bb c00c c012", "2 aa uw== ngrok.io io"),
        (65, "0000 c00c", "0 ngrok.io"),
        (65, "0001 c012 0003 0002 01bb", "1 io port=443"),
        (
            250,
            "c012 000000000001 012c 0000 0001 0000 0000",
            "io 1 300 0 1 NOERROR 0",
        ),
        (260, "00 03 c00c", "0 0 3 ngrok.io"),
    ] {
        let (message, start) = after_name(&bytes(digits));
        assert_eq!(
            shown(&message, record_type, start, message.len()),
            (true, text.to_owned())
        );
    }
    // Forward, to a place after the RDATA.
    assert_eq!(shown(b"\xc0\x02\x02io\0", 5, 0, 2), (true, "io".into()));
    // The name ends within the message, but not within the RDATA.
    assert_eq!(shown(b"\x02io\0", 5, 0, 3), (false, r"\# 3 02696f".into()));
    // A circle.
    assert_eq!(shown(b"\xc0\x00", 5, 0, 2), (false, r"\# 2 c000".into()));
}

#[test]
fn broken_rdata_takes_the_generic_form() {
    for (record_type, what, digits) in [
        (1, "three bytes", "010203"),
        (1, "five bytes", "0102030405"),
        (1, "none", ""),
        (28, "fifteen bytes", "000000000000000000000000000000"),
        (5, "bytes after the name", "00 00"),
        (
            6,
            "a number missing",
            "00 00 00000001 00000001 00000001 00000001",
        ),
        (11, "no protocol", "01020304"),
        (13, "one text", "01 61"),
        (16, "no text", ""),
        (16, "a text beyond the end", "05 6162"),
        (16, "the second text beyond the end", "01 61 02 62"),
        (20, "three texts", "00 00 00"),
        (22, "no address", ""),
        (
            29,
            "another version",
            "01 121613 80123456 80123456 00989680",
        ),
        (
            29,
            "no digit in a size",
            "00 a21613 80123456 80123456 00989680",
        ),
        (
            29,
            "beyond the pole",
            "00 121613 00000000 80123456 00989680",
        ),
        (30, "the other bitmap", "00 80"),
        (34, "a letter in the number", "01 61"),
        (34, "a format that is not known", "02 61"),
        (38, "a prefix of 129 bits", "81 00"),
        (38, "a suffix cut", "40 00"),
        (42, "a prefix of 33 bits", "0001 21 01 0a"),
        (42, "five bytes of IPv4", "0001 20 05 0102030405"),
        (42, "a family that is not known", "0003 00 00"),
        (43, "no digest", "0001 08 02"),
        (45, "a gateway that is not known", "00 04 00"),
        (
            46,
            "no signature",
            "0001 08 02 00000000 00000000 00000000 0001 00",
        ),
        (47, "an empty window", "00 00 00"),
        (
            47,
            "a window of 33 bytes",
            "00 00 21 000000000000000000000000000000000000000000000000000000000000000001",
        ),
        (47, "a window twice", "00 00 01 40 00 01 40"),
        (47, "windows backward", "00 01 01 40 00 01 40"),
        (47, "a window cut", "00 00 02 40"),
        (47, "a window without its length", "00 00"),
        (50, "no hash", "01 00 0000 00 00"),
        (50, "a salt beyond the end", "01 00 0000 09 00"),
        (51, "bytes after the salt", "01 00 0000 00 00"),
        (55, "no identity", "00 02 0001 aa"),
        (
            64,
            "keys backward",
            "0001 00 0003 0002 01bb 0001 0003 02 6832",
        ),
        (64, "a key twice", "0001 00 0003 0002 01bb 0003 0002 01bb"),
        (64, "a value beyond the end", "0001 00 0003 0003 01bb"),
        (64, "half a key", "0001 00 00"),
        (64, "a port of three bytes", "0001 00 0003 0003 01bb00"),
        (64, "a value for no-default-alpn", "0001 00 0002 0001 00"),
        (64, "no protocol", "0001 00 0001 0000"),
        (64, "an empty protocol", "0001 00 0001 0001 00"),
        (
            64,
            "a protocol beyond its value",
            "0001 00 0001 0002 02 68 0003 0002 01bb",
        ),
        (64, "no hint", "0001 00 0004 0000"),
        (64, "five bytes of hint", "0001 00 0004 0005 0102030405"),
        (64, "half a mandatory key", "0001 00 0000 0003 000100"),
        (64, "no group", "0001 00 0009 0000"),
        (64, "half a group", "0001 00 0009 0003 001d00"),
        (64, "an empty segment", "0001 00 000a 0001 00"),
        (66, "no target", "003b 01 14ef"),
        (66, "bytes after the target", "003b 01 14ef 00 00"),
        (67, "nothing", ""),
        (108, "five bytes", "0102030405"),
        (
            250,
            "a signature beyond the end",
            "00 000000000001 012c 0009 0001 0000 0000",
        ),
        (257, "no tag", "00 00 61"),
        (257, "a space in the tag", "00 01 20 61"),
        (257, "a tag beyond the end", "00 05 6973"),
        (260, "a relay cut", "00 01 0102"),
        (261, "no text", ""),
        (264, "seven bytes", "00000000000ee8"),
        (264, "nine bytes", "00000000000ee86800"),
    ] {
        let data = bytes(digits);
        assert_eq!(
            shown_alone(record_type, &data),
            (false, generic(&data)),
            "{record_type}: {what}"
        );
    }
}

#[test]
fn types_without_a_presentation_form_are_sound() {
    // NULL, OPT and the meta types; UNECE and ISO, whose drafts still change; what is reserved, or not assigned.
    for record_type in [0, 10, 41, 54, 69, 70, 100, 103, 128, 255, 65_280] {
        assert_eq!(
            shown_alone(record_type, b"\x00\xff"),
            (true, r"\# 2 00ff".into())
        );
        assert_eq!(shown_alone(record_type, b""), (true, r"\# 0".into()));
    }
    assert_eq!(shown_alone(42, b""), (true, r"\# 0".into()));
}

#[test]
fn places_beyond_the_message() {
    assert_eq!(shown(&[1, 2, 3], 1, 1, 5), (false, r"\# 2 0203".into()));
    assert_eq!(shown(&[1, 2, 3], 65_280, 9, 12), (false, r"\# 0".into()));
    assert_eq!(shown(&[1, 2, 3], 1, 3, 1), (false, r"\# 0".into()));
    assert_eq!(
        shown(&[1, 2, 3], 1, usize::MAX, usize::MAX),
        (false, r"\# 0".into())
    );
}

#[test]
fn the_longest_forms_are_bounded() {
    let longest = usize::from(u16::MAX);
    // Every text that fits an RDATA prints, also where no byte of it does.
    let mut texts: Vec<u8> = [[255_u8; 256]; 256].concat();
    texts[longest - 255] = 254;
    texts.truncate(longest);
    let (sound, text) = shown_alone(16, &texts);
    assert!(sound && text.len() > 261_000 && text.len() <= PRESENTATION_MAX);
    // A name of 250 characters, and 32,000 pointers to it.
    let mut message = [
        [b"\x3f".as_slice(), &[b'x'; 63]].concat(),
        vec![61],
        vec![b'x'; 61],
        vec![0],
    ]
    .concat();
    let start = message.len();
    message.extend_from_slice(b"\x01\x02\x00\x01\xaa\xbb");
    message.extend(b"\xc0\x00".repeat(32_000));
    assert!(!shown(&message, 55, start, message.len()).0);
    // Around the bound: as many names as still fit, and not one more.
    let lengths: Vec<usize> = (2_050..2_100)
        .map(|names| shown(&message, 55, start, start + 6 + 2 * names))
        .filter_map(|(sound, text)| sound.then_some(text.len()))
        .collect();
    let most = lengths.iter().copied().max().unwrap();
    assert!(most <= PRESENTATION_MAX && most + 126 > PRESENTATION_MAX);
    // All types there can be, all ports there can be.
    let windows: Vec<u8> = (0..=255)
        .flat_map(|window| [[window, 32].as_slice(), &[255; 32]].concat())
        .collect();
    assert!(!shown_alone(47, &[b"\0".as_slice(), &windows].concat()).0);
    assert!(!shown_alone(11, &[[1, 2, 3, 4, 6].as_slice(), &[255; 8_192]].concat()).0);
    assert!(!shown_alone(11, &[[1, 2, 3, 4, 6].as_slice(), &[0; 8_193]].concat()).0);
}

/// A type: mostly one that has a layout.
fn any_type() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 1_u16..=64, 4 => 65_u16..=265, 1 => 32_768_u16..=32_769, 1 => any::<u16>()]
}

/// Bytes that look like RDATA more often than chance would have it: a golden one, cut and changed.
fn nearly_golden() -> impl Strategy<Value = (u16, Vec<u8>)> {
    (
        0..GOLDEN.len(),
        any::<u16>(),
        any::<u16>(),
        any::<u8>(),
        0..4_u8,
    )
        .prop_map(|(which, cut, at, byte, how)| {
            let (record_type, digits, _) = GOLDEN[which];
            let mut data = bytes(digits);
            if how & 1 != 0 {
                data.truncate(usize::from(cut) % (data.len() + 1));
            }
            if how & 2 != 0 && !data.is_empty() {
                let at = usize::from(at) % data.len();
                data[at] = byte;
            }
            (record_type, data)
        })
}

fn hold(message: &[u8], record_type: u16, start: usize, end: usize) {
    let (sound, text) = shown(message, record_type, start, end);
    assert!(
        text.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{text}"
    );
    assert!(!text.is_empty() && text.len() <= PRESENTATION_MAX);
    let data = message.get(start..end);
    if !sound || layout(record_type).is_empty() {
        let rest = data.or(message.get(start..)).unwrap_or_default();
        assert_eq!(text, generic(rest));
    }
    // What stood in the text before, and what comes after the message, changes nothing that is sound.
    let mut out = b"before".to_vec();
    assert_eq!(present(message, record_type, start, end, &mut out), sound);
    assert_eq!(out, [b"before", text.as_bytes()].concat());
    if sound {
        let longer = [message, b"\x01a\0"].concat();
        assert_eq!(shown(&longer, record_type, start, end), (true, text));
    }
}

proptest! {
    #[test]
    fn any_bytes_give_bounded_printable_text(
        message in prop::collection::vec(prop_oneof![any::<u8>(), 0..8_u8, Just(0xC0)], 0..96),
        record_type in any_type(),
        start in 0..100_usize,
        length in 0..100_usize,
    ) {
        hold(&message, record_type, start, start + length);
        hold(&message, record_type, start, message.len());
    }

    #[test]
    fn changed_rdata_gives_bounded_printable_text((record_type, data) in nearly_golden()) {
        hold(&data, record_type, 0, data.len());
        let (message, start) = after_name(&data);
        hold(&message, record_type, start, message.len());
    }

    /// What hickory refuses is refused here too, for the types whose rules it checks as they stand.
    #[test]
    fn what_hickory_refuses_is_not_sound((record_type, data) in nearly_golden()) {
        if matches!(record_type, 1 | 2 | 5 | 6 | 12 | 13 | 15 | 16 | 28 | 33 | 37 | 43 | 44 | 46 | 52 | 53 | 61) {
            let mut decoder = BinDecoder::new(&data);
            let length = Restrict::new(u16::try_from(data.len()).unwrap());
            let read = RData::read(&mut decoder, RecordType::from(record_type), length);
            let (sound, text) = shown_alone(record_type, &data);
            prop_assert!(read.is_ok() || !sound, "type {}: {} but {:?}", record_type, text, read);
        }
    }
}
