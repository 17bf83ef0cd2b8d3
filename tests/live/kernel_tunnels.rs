//! The encapsulations that Linux can make, made by Linux, with dig and a real resolver at their ends.
//!
//! Which of them there are depends on the kernel. What one lacks it says; [`super::encapsulations`] has all of them on any
//! kernel, and `scripts/test` runs these on a second kernel, that of user-mode Linux, where this machine's lacks some.

use std::io::Write;

use serde_json::{Value, json};

use crate::common::{json_lines, stderr};
use crate::lab::Lab;

/// An encapsulation as the kernel makes it.
struct Kind {
    what: &'static str,
    /// The commands on both hosts. `LOCAL` and `REMOTE` are the addresses of the cable's ends, `LOCAL6` and `REMOTE6` those of
    /// version 6; `ME` and `OTHER` are 1 and 2, on the resolver's side 2 and 1; `ROLE` is GTP's word for it; `N` is the
    /// kind's number. The device is `tN`; where there is one, it is given `10.20.N.ME` and `fd20:N::ME`.
    make: &'static [&'static str],
    /// The commands after that; in place of the addresses where there is no device `tN`.
    then: &'static [&'static str],
    has_device: bool,
    /// Whether the query goes over IPv6.
    v6: bool,
    vlan: &'static [u16],
    tunnel: &'static [&'static str],
}

impl Kind {
    const fn new(
        what: &'static str,
        make: &'static [&'static str],
        tunnel: &'static [&'static str],
    ) -> Self {
        Self {
            what,
            make,
            then: &[],
            has_device: true,
            v6: false,
            vlan: &[],
            tunnel,
        }
    }

    const fn over_ipv6(self) -> Self {
        Self { v6: true, ..self }
    }

    const fn with_vlan(self, vlan: &'static [u16]) -> Self {
        Self { vlan, ..self }
    }

    const fn then(self, then: &'static [&'static str]) -> Self {
        Self { then, ..self }
    }

    const fn without_device(self) -> Self {
        Self {
            has_device: false,
            ..self
        }
    }

    /// Runs the commands on both hosts; `false` where the kernel cannot do it.
    fn set_up(&self, lab: &Lab, number: usize) -> bool {
        for (host, me, other) in [("c", 1, 2), ("d", 2, 1)] {
            let fill = |line: &&str| {
                line.replace("LOCAL6", &format!("fd05::{me}"))
                    .replace("REMOTE6", &format!("fd05::{other}"))
                    .replace("LOCAL", &format!("10.9.5.{me}"))
                    .replace("REMOTE", &format!("10.9.5.{other}"))
                    .replace("OTHER", &other.to_string())
                    .replace("ME", &me.to_string())
                    .replace("ROLE", if me == 1 { "sgsn" } else { "ggsn" })
                    .replace('N', &number.to_string())
            };
            let run = |lines: &[&str]| commands(lab, host, lines.iter().map(fill));
            match run(self.make) {
                Ok(()) => {}
                Err(said) if is_lack(&said) => return false,
                Err(said) => panic!("{}: {said}", self.what),
            }
            let dress: &[&str] = if self.has_device {
                &[
                    "ip link set tN up",
                    "ip addr add 10.20.N.ME/24 dev tN",
                    "ip addr add fd20:N::ME/64 dev tN nodad",
                ]
            } else {
                &[]
            };
            let then = [dress, self.then].concat();
            run(&then).unwrap_or_else(|said| panic!("{}: {said}", self.what));
        }
        true
    }
}

/// Runs commands on a host, as many of them in one go as `ip` takes; what went wrong with one.
fn commands(lab: &Lab, host: &str, lines: impl Iterator<Item = String>) -> Result<(), String> {
    let run = |words: &[&str]| {
        let output = lab.output(host, words);
        output
            .status
            .success()
            .then_some(())
            .ok_or_else(|| stderr(&output))
    };
    let mut batch = String::new();
    let path = lab.place("batch");
    let finish = |batch: &mut String| {
        if batch.is_empty() {
            return Ok(());
        }
        std::fs::write(&path, &batch).unwrap();
        run(&["ip", "-batch", &path]).map_err(|said| format!("{said}{batch}"))?;
        batch.clear();
        Ok(())
    };
    for line in lines {
        match line
            .strip_prefix("ip ")
            .filter(|rest| !rest.starts_with('-'))
        {
            Some(rest) => batch += &format!("{rest}\n"),
            None => {
                finish(&mut batch)?;
                run(&line.split_whitespace().collect::<Vec<_>>())
                    .map_err(|said| format!("{line}: {said}"))?;
            }
        }
    }
    finish(&mut batch)
}

/// Whether a command failed because the kernel does not have what it asks for.
fn is_lack(said: &str) -> bool {
    [
        "Unknown device type",
        "not supported",
        "No such file or directory",
        "Error talking to the kernel",
    ]
    .iter()
    .any(|words| said.contains(words))
}

const KINDS: &[Kind] = &[
    Kind::new(
        "802.1Q",
        &["ip link add link eth0 name tN type vlan id 5"],
        &[],
    )
    .with_vlan(&[5]),
    Kind::new(
        "802.1Q in 802.1ad",
        &[
            "ip link add link eth0 name sN type vlan proto 802.1ad id 6",
            "ip link set sN up",
            "ip link add link sN name tN type vlan id 7",
        ],
        &[],
    )
    .with_vlan(&[6, 7]),
    Kind::new(
        "three tags",
        &[
            "ip link add link eth0 name rN type vlan proto 802.1ad id 4094",
            "ip link set rN up",
            "ip link add link rN name sN type vlan proto 802.1ad id 6",
            "ip link set sN up",
            "ip link add link sN name tN type vlan id 7",
        ],
        &[],
    )
    .with_vlan(&[4094, 6, 7]),
    Kind::new(
        "GRE",
        &["ip link add tN type gre local LOCAL remote REMOTE"],
        &["gre"],
    ),
    Kind::new(
        "GRE with key, checksum and sequence number",
        &["ip link add tN type gre local LOCAL remote REMOTE key 9 csum seq"],
        &["gre"],
    )
    .over_ipv6(),
    Kind::new(
        "GRE over IPv6",
        &["ip link add tN type ip6gre local LOCAL6 remote REMOTE6"],
        &["gre"],
    ),
    Kind::new(
        "GRE, transparent Ethernet",
        &["ip link add tN type gretap local LOCAL remote REMOTE"],
        &["gre"],
    ),
    Kind::new(
        "NVGRE",
        &["ip link add tN type gretap local LOCAL remote REMOTE key 77"],
        &["nvgre"],
    ),
    Kind::new(
        "ERSPAN I",
        &["ip link add tN type erspan local LOCAL remote REMOTE erspan_ver 0"],
        &["erspan1"],
    ),
    Kind::new(
        "ERSPAN II",
        &["ip link add tN type erspan local LOCAL remote REMOTE seq key 12 erspan_ver 1 erspan 7"],
        &["erspan2"],
    ),
    Kind::new(
        "ERSPAN III",
        &[
            "ip link add tN type erspan local LOCAL remote REMOTE seq key 13 erspan_ver 2 \
             erspan_dir ingress erspan_hwid 7",
        ],
        &["erspan3"],
    ),
    Kind::new(
        "VXLAN",
        &["ip link add tN type vxlan id 7 remote REMOTE dstport 4789 dev eth0"],
        &["vxlan"],
    ),
    Kind::new(
        "VXLAN on 8472, over IPv6",
        &["ip link add tN type vxlan id 8 remote REMOTE6 dstport 8472 dev eth0"],
        &["vxlan"],
    )
    .over_ipv6(),
    Kind::new(
        "VXLAN-GPE",
        &["ip link add tN type vxlan external gpe dstport 4790"],
        &["vxlan-gpe"],
    )
    .then(&["ip route replace 10.20.N.OTHER encap ip id 7 dst REMOTE dev tN"]),
    Kind::new(
        "Geneve",
        &["ip link add tN type geneve id 7 remote REMOTE"],
        &["geneve"],
    ),
    Kind::new(
        "Geneve over IPv6",
        &["ip link add tN type geneve id 8 remote REMOTE6"],
        &["geneve"],
    ),
    Kind::new(
        "IPv4 in IPv4",
        &["ip link add tN type ipip local LOCAL remote REMOTE"],
        &["ipip"],
    ),
    Kind::new(
        "IPv6 in IPv4",
        &["ip link add tN type sit local LOCAL remote REMOTE"],
        &["ip6in4"],
    )
    .over_ipv6(),
    Kind::new(
        "IPv4 in IPv6",
        &["ip link add tN type ip6tnl local LOCAL6 remote REMOTE6 mode ipip6"],
        &["ip4in6"],
    ),
    Kind::new(
        "IPv6 in IPv6",
        &[
            "ip addr add fd05:6::ME/64 dev eth0 nodad",
            "ip link add tN type ip6tnl local fd05:6::ME remote fd05:6::OTHER mode ip6ip6",
        ],
        &["ip6in6"],
    )
    .over_ipv6(),
    Kind::new(
        "MPLS",
        &[
            "sysctl -q -w net.mpls.platform_labels=1000",
            "sysctl -q -w net.mpls.conf.eth0.input=1",
        ],
        &["mpls"],
    )
    .without_device()
    .then(&[
        "ip addr add 10.20.N.ME/32 dev lo",
        "ip -f mpls route add 10ME dev lo",
        "ip route add 10.20.N.OTHER/32 encap mpls 10OTHER via inet REMOTE dev eth0 src 10.20.N.ME",
    ]),
    Kind::new("GTP-U", &["ip link add tN type gtp role ROLE"], &["gtp-u"])
        .then(&["python3 tests/live/gtp_tunnel.py tN 10.20.N.1 REMOTE ME OTHER"]),
    Kind::new(
        "PPPoE",
        &["python3 tests/live/ppp_device.py pppoe tN LOCAL REMOTE"],
        &["pppoe"],
    ),
    Kind::new(
        "PPP in GRE version 1 (PPTP)",
        &["python3 tests/live/ppp_device.py pptp tN LOCAL REMOTE"],
        &["gre", "ppp"],
    )
    .over_ipv6(),
    Kind::new(
        "PPP in L2TPv2",
        &["python3 tests/live/ppp_device.py l2tp tN LOCAL REMOTE"],
        &["l2tpv2", "ppp"],
    ),
    Kind::new(
        "L2TPv3 over UDP",
        &[
            "ip l2tp add tunnel tunnel_id N peer_tunnel_id N encap udp local LOCAL remote REMOTE \
             udp_sport 170OTHER udp_dport 170ME",
            "ip l2tp add session name tN tunnel_id N session_id N peer_session_id N",
        ],
        &["l2tpv3"],
    ),
    Kind::new(
        "L2TPv3 over IP",
        &[
            "ip l2tp add tunnel tunnel_id N peer_tunnel_id N encap ip local LOCAL remote REMOTE",
            "ip l2tp add session name tN tunnel_id N session_id N peer_session_id N",
        ],
        &["l2tpv3"],
    ),
];

#[test]
fn what_the_kernel_makes_is_seen_with_the_defaults() {
    let Some(lab) = Lab::pair() else { return };
    for (host, me) in [("c", "fd05::1/64"), ("d", "fd05::2/64")] {
        lab.run(host, &["ip", "addr", "add", me, "dev", "eth0", "nodad"]);
    }
    let (made, lacking): (Vec<_>, Vec<_>) = KINDS
        .iter()
        .zip(1..)
        .partition(|(kind, number)| kind.set_up(&lab, *number));

    let (events, stats) = (lab.place("events.jsonl"), lab.place("stats.json"));
    let arguments = ["-i", "eth0", "--events", &events, "--stats", &stats];
    let live = lab.listen("d", &arguments);
    for (kind, number) in &made {
        let resolver = if kind.v6 {
            format!("@fd20:{number}::2")
        } else {
            format!("@10.20.{number}.2")
        };
        lab.dig("c", &[&resolver, &format!("kind{number}.example.com")]);
    }
    live.end_by("INT").with_status(0);

    let events = json_lines(&std::fs::read_to_string(&events).unwrap());
    let stats: Value = serde_json::from_slice(&std::fs::read(&stats).unwrap()).unwrap();
    for (kind, number) in &made {
        let name = format!("kind{number}.example.com");
        let event = events
            .iter()
            .find(|event| event["query"] == name.as_str())
            .unwrap_or_else(|| panic!("{} was not seen", kind.what));
        let (src, dest) = if kind.v6 {
            (format!("fd20:{number}::1"), format!("fd20:{number}::2"))
        } else {
            (format!("10.20.{number}.1"), format!("10.20.{number}.2"))
        };
        for (field, value) in [
            ("src", json!(src)),
            ("dest", json!(dest)),
            ("answer", json!(["192.0.2.1"])),
            ("vlan", json!(kind.vlan)),
            ("tunnel", json!(kind.tunnel)),
        ] {
            assert_eq!(event[field], value, "{field} of {}: {event}", kind.what);
        }
        for tunnel in kind.tunnel {
            let count = &stats["tunnels"][tunnel.replace('-', "_")];
            assert!(count.as_u64().unwrap() >= 2, "{tunnel}: {count}");
        }
    }
    assert_eq!(events.len(), made.len());
    tell(&made, &lacking);
}

/// Says it where nobody takes it away, as the test harness does with what a test prints.
fn tell(made: &[(&Kind, usize)], lacking: &[(&Kind, usize)]) {
    let names = |kinds: &[(&Kind, usize)]| -> String {
        let names: Vec<&str> = kinds.iter().map(|(kind, _)| kind.what).collect();
        names.join("; ")
    };
    let mut text = format!("\nencapsulations made by this kernel: {}\n", names(made));
    if !lacking.is_empty() {
        text += &format!(
            "THIS KERNEL LACKS, so that they were seen as injected frames only: {}\n",
            names(lacking)
        );
    }
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}
