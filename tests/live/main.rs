//! The program on live interfaces: in network namespaces, with real clients and a real resolver, signals, users, disks.
//!
//! These need root. `scripts/test` installs what they use and runs them; `DNSTERRIER_NO_LIVE=1` leaves them out.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "a test that panics is one that fails"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/encapsulation.rs"]
mod encapsulation;
#[path = "../common/pcap.rs"]
mod pcap;

mod lab;
mod running;

mod beside_tcpdump;
mod dnstap;
mod encapsulations;
mod encrypted;
mod ending;
mod evidence;
mod filters;
mod full_disk;
mod kernel_tunnels;
mod link_types;
mod losing;
mod metrics;
mod other_ports;
mod permission;
mod reload;
mod roles;
mod rotation;
mod table;
mod two_interfaces;
mod windows;
mod workers;
