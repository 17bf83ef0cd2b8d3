//! Places in the network: what arrives there, what happens when they misbehave, and what is left when the program or the disk
//! does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail: that is what it is for"
)]

#[path = "../common/mod.rs"]
mod common;

mod clickhouse;
mod cluster;
mod collector;
mod daemon;
mod disk;
mod elastic;
mod faults;
mod fleet;
mod hec;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod kafka_login;
mod looking_back;
mod relay;
mod run;
mod spool;
mod syslog;
