//! dnsterrier watches DNS on the wire and names the hosts whose lookups give them away.
//!
//! ```text
//! Packet -> Frame -> Message -> Transaction -> Event -> Hit -> Row -> Sink
//! capture   frame    message   transaction     event    rule    aggregate  sink
//! | capture thread |       decoder thread             |     matcher thread     |
//! ```
//!
//! The modules stand in the order of the flow. Each imports only those above it; `pipeline` alone knows threads.

pub mod time;
pub mod stats;
pub mod packet;
pub mod frame;
pub mod stream;
pub mod message;
pub mod event;
pub mod rule;
