//! One and the same datagram behind every link type beside the common ones.

use super::*;

#[test]
fn ppp_in_its_variants() {
    for (ip, protocol, ether_type) in [(ipv4(), 0x21, [8, 0]), (ipv6(), 0x57, [0x86, 0xdd])] {
        for link in [9, 50] {
            assert_dns(link, &joined(&[&[0xff, 3, 0, protocol], &ip]));
            assert_dns(link, &joined(&[&[0, protocol], &ip]));
            assert_dns(link, &joined(&[&[protocol], &ip]));
            assert_dns(link, &joined(&[&[0xff, 3, protocol], &ip]));
            assert_dns(link, &joined(&[&[0x0f, 0], &ether_type, &ip]));
        }
        assert_dns(104, &joined(&[&[0x8f, 0], &ether_type, &ip]));
        assert_dns(51, &joined(&[&[0x11, 0, 0, 7, 1, 0, 0, protocol], &ip]));
        for link in [166, 204] {
            assert_dns(link, &joined(&[&[1, 0xff, 3, 0, protocol], &ip]));
            assert_dns(link, &joined(&[&[0, 3, 0, protocol], &ip]));
            assert_dns(link, &joined(&[&[0, 0, protocol], &ip]));
        }
        // Bridged, multilink in one piece, MPLS.
        assert_dns(
            9,
            &joined(&[
                &[0, 0x31, 0, 1],
                &ethernet(u16::from_be_bytes(ether_type), &ip),
            ]),
        );
        assert_dns(9, &joined(&[&[0, 0x3d, 0xc0, 0, 0, 1, 0, protocol], &ip]));
        assert_dns(9, &joined(&[&[2, 0x81, 0, 1, 1, 64], &ip]));
    }
    assert_eq!(outcome(&packet(9, &[0xc0, 0x21, 1, 1, 0, 4])), "not_ip");
    assert_eq!(
        outcome(&packet(9, &[0, 0x3d, 0x80, 0, 0, 1, 0, 0x21])),
        "tunnel"
    );
    assert_eq!(outcome(&packet(9, &[0, 0x2f, 1, 2, 3])), "tunnel");
    assert_eq!(outcome(&packet(104, &[0x0f, 0, 0x80, 0x35])), "not_ip");
}

#[test]
fn frame_relay() {
    let (four, six) = (ipv4(), ipv6());
    for (header, ip) in [
        (&[0x18, 0x41, 3, 0xcc][..], &four),
        (&[0x18, 0x40, 0x41, 3, 0, 0xcc], &four),
        (&[0x18, 0x41, 3, 0x8e], &six),
        (&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0], &four),
        (
            &[
                0x18, 0x41, 3, 0, 0x80, 0, 0x80, 0xc2, 0, 7, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 8,
                0,
            ],
            &four,
        ),
    ] {
        assert_dns(107, &joined(&[header, ip]));
    }
    assert_eq!(
        outcome(&packet(107, &[0x18, 0x40, 0x40, 0x40, 0x40, 0x40])),
        "malformed"
    );
    assert_eq!(outcome(&packet(107, &[0x18, 0x41, 3, 0x81, 0])), "not_ip");
}

#[test]
fn rings() {
    for (snap, ip) in [
        (&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], ipv4()),
        (&[0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd], ipv6()),
    ] {
        let macs = Some((Mac([2; 6]), Mac([1; 6])));
        assert_eq!(
            assert_dns(10, &joined(&[&[0x57], &[1; 6], &[2; 6], snap, &ip])).macs,
            macs
        );
        assert_eq!(
            assert_dns(6, &joined(&[&[0x10, 0x40], &[1; 6], &[2; 6], snap, &ip])).macs,
            macs
        );
        let routed = [0x82, 2, 2, 2, 2, 2];
        assert_eq!(
            assert_dns(
                6,
                &joined(&[&[0x10, 0x40], &[1; 6], &routed, &[4, 0, 1, 1], snap, &ip])
            )
            .macs,
            macs
        );
        assert_dns(122, &joined(&[&[0; 16], snap, &ip]));
        assert_dns(100, &joined(&[snap, &ip]));
    }
    assert_eq!(outcome(&packet(10, &[0x41; 40])), "not_ip");
}

#[test]
fn arcnet() {
    for (link, before) in [(7, &[1u8, 2][..]), (129, &[1, 2, 0, 0])] {
        assert_dns(link, &joined(&[before, &[212, 0, 0, 1], &ipv4()]));
        assert_dns(
            link,
            &joined(&[before, &[212, 0xff, 0xff, 0xff, 0, 0, 1], &ipv4()]),
        );
        assert_dns(link, &joined(&[before, &[196, 0, 0, 1], &ipv6()]));
        assert_dns(link, &joined(&[before, &[240], &ipv4()]));
        assert_eq!(
            outcome(&packet(link, &joined(&[before, &[213, 0, 0, 1]]))),
            "not_ip"
        );
        assert_eq!(
            outcome(&packet(link, &joined(&[before, &[212, 1, 0, 1]]))),
            "fragment"
        );
    }
}

#[test]
fn headers_of_the_host() {
    for (family, ip) in [(2u8, ipv4()), (30, ipv6())] {
        assert_dns(109, &joined(&[&[family, 0, 0, 0], &[0; 8], &ip]));
        assert_dns(117, &joined(&[&[61, family], &[0; 62], &ip]));
        assert_dns(8, &joined(&[&[0; 16], &ip]));
        assert_dns(219, &joined(&[&[0, 1, 1, 64], &ip]));
    }
    assert_dns(138, &joined(&[&[0; 16], &[8, 0], &ipv4()]));
    assert_dns(242, &joined(&[&[0; 40], &[0x86, 0xdd, 0, 0], &ipv6()]));
    assert_dns(240, &joined(&[&[0; 4], &ethernet(0x0800, &ipv4())]));
}

#[test]
fn per_packet_headers() {
    let inside = ethernet(0x0800, &ipv4());
    assert_dns(
        192,
        &joined(&[&[0, 0, 12, 0, 1, 0, 0, 0], &[9; 4], &inside]),
    );
    assert_eq!(
        outcome(&packet(192, &[0, 0, 8, 0, 195, 0, 0, 0, 1, 2])),
        "unsupported_link"
    );
    assert_eq!(
        outcome(&packet(192, &[0, 0, 7, 0, 1, 0, 0, 0, 1, 2])),
        "malformed"
    );
    let header = joined(&[&[108, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], &[0; 96]]);
    assert_dns(258, &joined(&[&header, &inside]));
    assert_eq!(
        outcome(&packet(
            258,
            &joined(&[&[12, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], &inside])
        )),
        "not_ip"
    );
}

const SNAP: &[u8] = &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0];

#[test]
fn wireless() {
    let (one, two, three, four) = ([1; 6], [2; 6], [3; 6], [4; 6]);
    for (flags, tail, macs) in [
        (0u8, &[][..], (two, one)),
        (1, &[], (two, three)),
        (2, &[], (three, one)),
        (3, &four, (four, three)),
    ] {
        for (control, qos) in [(0x08u8, &[][..]), (0x88, &[0, 0])] {
            let header = joined(&[
                &[control, flags, 0, 0],
                &one,
                &two,
                &three,
                &[0x10, 0],
                tail,
                qos,
            ]);
            let bytes = joined(&[&header, SNAP, &ipv4(), b"FCS."]);
            assert_eq!(
                assert_dns(105, &bytes).macs,
                Some((Mac(macs.0), Mac(macs.1)))
            );

            // Radiotap with a time, flags, and two more words of presence.
            let radiotap = [
                0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 0x10,
            ];
            assert_dns(127, &joined(&[&radiotap, &bytes]));
            // Radiotap with flags alone: the body begins at a multiple of four.
            let padding = vec![0; header.len().next_multiple_of(4) - header.len()];
            let bytes = joined(&[
                &[0, 0, 9, 0, 2, 0, 0, 0, 0x20],
                &header,
                &padding,
                SNAP,
                &ipv4(),
            ]);
            assert_dns(127, &bytes);
            // Prism, AVS.
            let bytes = joined(&[&header, SNAP, &ipv4()]);
            assert_dns(
                119,
                &joined(&[&[0x44, 0, 0, 0, 144, 0, 0, 0], &[0; 136], &bytes]),
            );
            assert_dns(
                119,
                &joined(&[&[0, 0, 0, 0x44, 0, 0, 0, 144], &[0; 136], &bytes]),
            );
            assert_dns(
                163,
                &joined(&[&[0x80, 0x21, 0x10, 0x01, 0, 0, 0, 64], &[0; 56], &bytes]),
            );
            assert_dns(192, &joined(&[&[0, 0, 8, 0, 105, 0, 0, 0], &bytes]));
        }
    }
    // High-throughput control behind QoS.
    let header = joined(&[&[0x88, 0x80, 0, 0], &one, &two, &three, &[0; 8]]);
    assert_dns(105, &joined(&[&header, SNAP, &ipv4()]));
    let mut header = joined(&[&[0x08, 0x40, 0, 0], &one, &two, &three, &[0x10, 0]]);
    assert_eq!(
        outcome(&packet(105, &joined(&[&header, SNAP, &ipv4()]))),
        "encrypted"
    );
    header[1] = 0x04;
    assert_eq!(
        outcome(&packet(105, &joined(&[&header, SNAP, &ipv4()]))),
        "fragment"
    );
    header[..2].copy_from_slice(&[0x80, 0]);
    assert_eq!(
        outcome(&packet(105, &joined(&[&header, SNAP, &ipv4()]))),
        "not_ip"
    );
    header[..2].copy_from_slice(&[0x48, 0]);
    assert_eq!(outcome(&packet(105, &header)), "not_ip");
    header[..2].copy_from_slice(&[0x09, 0]);
    assert_eq!(outcome(&packet(105, &header)), "malformed");
}

/// What `decode` and then `decode_further` hand on, and the decoder.
fn all_of(link: i32, bytes: &[u8]) -> (Vec<Vec<u8>>, Decoder) {
    let mut decoder = decoder();
    let packet = packet(link, bytes);
    let mut payloads = Vec::new();
    let mut frame = decoder.decode(&packet);
    while let Some(found) = frame {
        payloads.push(found.payload.to_vec());
        frame = decoder.decode_further(&packet);
    }
    assert_eq!(decoder.stats.total(), 1);
    assert!(decoder.decode_further(&packet).is_none());
    (payloads, decoder)
}

#[test]
fn an_aggregate_gives_each_of_its_members() {
    let mut bytes = joined(&[
        &[0x88, 0, 0, 0],
        &[1; 6],
        &[2; 6],
        &[3; 6],
        &[0, 0],
        &[0x80, 0],
    ]);
    let other = {
        let mut ip = ipv4();
        ip[22..24].copy_from_slice(&54u16.to_be_bytes());
        ip
    };
    for (at, ip) in [other.clone(), ipv4(), other, ipv6(), ipv4()]
        .iter()
        .enumerate()
    {
        let snap = if ip[0] >> 4 == 4 {
            [8, 0]
        } else {
            [0x86, 0xdd]
        };
        let body = joined(&[&SNAP[..6], &snap, ip]);
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        bytes.extend(joined(&[&[5; 6], &[6; 6], &length, &body]));
        if at < 4 {
            bytes.resize(26 + (bytes.len() - 26).next_multiple_of(4), 0);
        }
    }
    let (payloads, decoder) = all_of(105, &bytes);
    assert_eq!(payloads, [DNS, DNS, DNS]);
    assert_eq!((decoder.stats.udp, decoder.further.udp), (1, 2));
}

/// A netlink message of netfilter with its attributes.
fn message(kind: u16, attributes: &[(u16, &[u8])], little: bool) -> Vec<u8> {
    let word = |value: u16| {
        if little {
            value.to_le_bytes()
        } else {
            value.to_be_bytes()
        }
    };
    let mut body = vec![2, 0, 0, 0];
    for (kind, value) in attributes {
        body.extend(word(u16::try_from(value.len() + 4).unwrap()));
        body.extend(word(*kind));
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let length = u32::try_from(body.len() + 16).unwrap();
    let length = if little {
        length.to_le_bytes()
    } else {
        length.to_be_bytes()
    };
    joined(&[&length, &word(kind), &[0; 10], &body])
}

#[test]
fn netfilter() {
    for little in [true, false] {
        let other = message(0x0401, &[(9, &ipv4())], little);
        let logged = message(
            0x0400,
            &[(1, &[0; 4]), (10, b"prefix"), (9, &ipv4())],
            little,
        );
        let queued = message(0x0300, &[(1, &[0; 7]), (10, &ipv6())], little);
        let header = |family: u8| [&[0, 4, 0x03, 0x38][..], &[0; 10], &[0, family]].concat();
        for link in [113, 253] {
            let (payloads, decoder) = all_of(
                link,
                &joined(&[&header(12), &other, &logged, &queued, &other, &logged]),
            );
            assert_eq!(payloads, [DNS, DNS, DNS]);
            assert_eq!((decoder.stats.udp, decoder.further.udp), (1, 2));
            assert_eq!(
                outcome(&packet(link, &joined(&[&header(12), &other]))),
                "not_ip"
            );
            assert_eq!(
                outcome(&packet(link, &joined(&[&header(0), &logged]))),
                "not_ip"
            );
        }
        let log = joined(&[&[2, 0, 0, 7], &logged[20..]]);
        assert_dns(239, &log);
        assert_eq!(outcome(&packet(239, &log[..log.len() - 5])), "malformed");
    }
}

#[test]
fn members_are_bounded() {
    let one = message(0x0400, &[(9, &ipv4())], true);
    let bytes = joined(&[&[0, 4, 0x03, 0x38], &[0; 10], &[0, 12], &one.repeat(200)]);
    let (payloads, _) = all_of(253, &bytes);
    assert_eq!(payloads.len(), 65);
}
