//! Messages built by another library: each is found, but for the kinds that are left out, which are named here.

use std::str::FromStr;

use dnsterrier::shape;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::rdata::{
    A, AAAA, CNAME, HINFO, HTTPS, MX, NAPTR, NS, NULL, PTR, SOA, SRV, SVCB, TXT,
};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use proptest::prelude::*;

/// A label of any bytes, or of those that hosts have.
fn label() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => "[a-zA-Z0-9_-]{1,63}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 1..64),
    ]
}

/// A name whose last label is that of a top-level domain.
fn name() -> impl Strategy<Value = Name> {
    let labels = prop::collection::vec(label(), 0..4);
    let longest =
        |labels: &Vec<Vec<u8>>| labels.iter().map(|label| label.len() + 1).sum::<usize>() < 180;
    (
        labels.prop_filter("too long", longest),
        "[a-zA-Z0-9_-]{2,63}",
    )
        .prop_map(|(labels, last)| {
            Name::from_labels(labels.into_iter().chain([last.into_bytes()])).unwrap()
        })
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..most)
}

fn data() -> impl Strategy<Value = RData> {
    prop_oneof![
        any::<u32>().prop_map(|address| RData::A(A(address.into()))),
        any::<u128>().prop_map(|address| RData::AAAA(AAAA(address.into()))),
        name().prop_map(|name| RData::CNAME(CNAME(name))),
        name().prop_map(|name| RData::NS(NS(name))),
        name().prop_map(|name| RData::PTR(PTR(name))),
        (any::<u16>(), name()).prop_map(|(number, name)| RData::MX(MX::new(number, name))),
        (any::<u16>(), name())
            .prop_map(|(number, name)| RData::SRV(SRV::new(number, 1, number, name))),
        (name(), name(), any::<u32>())
            .prop_map(|(name, mail, serial)| RData::SOA(SOA::new(name, mail, serial, 1, 2, 3, 4))),
        name().prop_map(|name| RData::SVCB(SVCB::new(1, name, Vec::new()))),
        name().prop_map(|name| RData::HTTPS(HTTPS(SVCB::new(0, name, Vec::new())))),
        name().prop_map(|name| RData::NAPTR(NAPTR::new(
            1,
            2,
            Box::from(*b"s"),
            Box::from(*b"SIP+D2U"),
            Box::from(*b""),
            name
        ))),
        prop::collection::vec("[ -~]{0,200}", 1..9).prop_map(|texts| RData::TXT(TXT::new(texts))),
        ("[a-z]{0,20}", "[a-z]{0,20}").prop_map(|(cpu, os)| RData::HINFO(HINFO::new(cpu, os))),
        bytes(1200).prop_map(|bytes| RData::NULL(NULL::with(bytes))),
        // KEY, TLSA, CAA, and what iodine calls PRIVATE.
        (
            prop::sample::select(vec![25_u16, 52, 257, 65_399]),
            bytes(300)
        )
            .prop_map(|(code, bytes)| {
                RData::Unknown {
                    code: RecordType::from(code),
                    rdata: NULL::with(bytes),
                }
            }),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    (name(), 0..=0x7FFF_FFFF_u32, data())
        .prop_map(|(name, ttl, data)| Record::from_rdata(name, ttl, data))
}

fn edns() -> impl Strategy<Value = Edns> {
    let option = prop_oneof![
        bytes(40).prop_map(|cookie| EdnsOption::Unknown(10, cookie)),
        (0..300_usize).prop_map(|length| EdnsOption::Unknown(12, vec![0; length])),
        any::<u32>().prop_map(|address| {
            EdnsOption::Subnet(ClientSubnet::new(
                std::net::Ipv4Addr::from(address).into(),
                24,
                0,
            ))
        }),
    ];
    (
        any::<u16>(),
        any::<bool>(),
        prop::collection::vec(option, 0..4),
    )
        .prop_map(|(size, dnssec, options)| {
            let mut edns = Edns::new();
            edns.set_max_payload(size).set_dnssec_ok(dnssec);
            for option in options {
                edns.options_mut().insert(option);
            }
            edns
        })
}

fn question() -> impl Strategy<Value = Query> {
    let types = vec![
        RecordType::A,
        RecordType::AAAA,
        RecordType::ANY,
        RecordType::AXFR,
        RecordType::CNAME,
        RecordType::HTTPS,
        RecordType::KEY,
        RecordType::MX,
        RecordType::NS,
        RecordType::NULL,
        RecordType::PTR,
        RecordType::SOA,
        RecordType::SRV,
        RecordType::TXT,
        RecordType::from(65_399),
    ];
    (name(), prop::sample::select(types)).prop_map(|(name, kind)| Query::query(name, kind))
}

fn message() -> impl Strategy<Value = Message> {
    let records = |most| prop::collection::vec(record(), 0..most);
    let codes = vec![
        ResponseCode::NoError,
        ResponseCode::FormErr,
        ResponseCode::ServFail,
        ResponseCode::NXDomain,
        ResponseCode::NotImp,
        ResponseCode::Refused,
        ResponseCode::NotAuth,
    ];
    (
        any::<(u16, bool, [bool; 6])>(),
        question(),
        (records(12), records(4), records(4)),
        prop::option::of(edns()),
        prop::sample::select(codes),
    )
        .prop_map(
            |((id, is_response, flags), question, records, edns, code)| {
                let kind = if is_response {
                    MessageType::Response
                } else {
                    MessageType::Query
                };
                let mut message = Message::new(id, kind, OpCode::Query);
                message.add_query(question);
                message.metadata.recursion_desired = flags[0];
                message.metadata.authentic_data = flags[1];
                message.metadata.checking_disabled = flags[2];
                if is_response {
                    message.metadata.authoritative = flags[3];
                    message.metadata.truncation = flags[4];
                    message.metadata.recursion_available = flags[5];
                    message.metadata.response_code = code;
                    message.insert_answers(records.0);
                    message.insert_authorities(records.1);
                    message.insert_additionals(records.2);
                }
                message.edns = edns;
                message
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_message_is_found(message in message()) {
        let bytes = message.to_vec().unwrap();
        prop_assert!(shape::is_message(&bytes, bytes.len()), "{bytes:02x?}\n{message}");
        let framed = [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), &bytes[..]].concat();
        prop_assert_eq!(shape::first_message(&framed, framed.len()), Some(&bytes[..]));
    }

    /// Whatever the records, one byte more or less is another thing.
    #[test]
    fn every_message_ends_where_it_ends(message in message()) {
        let mut bytes = message.to_vec().unwrap();
        prop_assert!(!shape::is_message(&bytes[..bytes.len() - 1], bytes.len() - 1));
        bytes.push(0);
        prop_assert!(!shape::is_message(&bytes, bytes.len()));
    }
}

/// What is well-formed and not taken for DNS by its shape alone, as docs/output.md has it.
#[test]
fn what_is_left_out() {
    let example = || Query::query(Name::from_str("www.example.com.").unwrap(), RecordType::A);
    let of = |questions: Vec<Query>| {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.queries = questions;
        message
    };
    let named = |name: Name| of(vec![Query::query(name, RecordType::A)]);
    let mut chaos = example();
    chaos.set_query_class(DNSClass::HS);
    let mut status = of(vec![example()]);
    status.metadata.op_code = OpCode::Status;
    let mut version = of(vec![example()]);
    version.edns = Some(Edns::new());
    version.edns.as_mut().unwrap().set_version(1);
    let mut answering = of(vec![example()]);
    answering.insert_answers(vec![Record::from_rdata(
        Name::from_str("www.example.com.").unwrap(),
        60,
        RData::A(A::new(192, 0, 2, 1)),
    )]);
    for (kind, message) in [
        ("no question", of(Vec::new())),
        ("several questions", of(vec![example(), example()])),
        ("the root without EDNS", named(Name::root())),
        ("one character", named(Name::from_str("x.").unwrap())),
        (
            "a last label of other characters",
            named(Name::from_labels([&b"b\xfccher"[..]]).unwrap()),
        ),
        ("another class than IN and CH", of(vec![chaos])),
        ("another opcode than QUERY, NOTIFY, UPDATE", status),
        ("another version of EDNS", version),
        ("a query with answers", answering),
        (
            "a type of nobody",
            of(vec![Query::query(
                Name::from_str("a.example.").unwrap(),
                RecordType::from(40_000),
            )]),
        ),
    ] {
        let bytes = message.to_vec().unwrap();
        assert!(
            !shape::is_message(&bytes, bytes.len()),
            "{kind}: {bytes:02x?}"
        );
    }
}
