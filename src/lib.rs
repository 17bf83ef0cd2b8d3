//! dnsterrier watches DNS on the wire and names the hosts whose lookups give them away.
//!
//! ```text
//! Packet -> Frame -> Message -> Transaction -> Event -> Hit -> Row -> Sink
//! capture   frame    message   transaction     event    rule    aggregate  sink
//! | capture thread |       decoder thread             |     matcher thread     |
//! ```
//!
//! The modules stand in the order of the flow. Each imports only those above it; `pipeline` alone knows threads.

pub mod aggregate;
pub mod capture;
pub mod event;
pub mod frame;
pub mod message;
pub mod packet;
pub mod pipeline;
pub mod rule;
pub mod sink;
pub mod stats;
pub mod stream;
pub mod time;
pub mod transaction;

pub mod cli;
pub mod config;
pub mod error;
pub mod privilege;
pub mod rules_command;
pub mod totals;
