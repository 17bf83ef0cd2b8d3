//! dnsterrier watches DNS on the wire and names the hosts whose lookups give them away.
//!
//! ```text
//! Packet -> Frame -> Message -> Transaction -> Event -> Hit -> Row -> (Risk) -> Sink -> (Delivery)
//! capture   frame    message   transaction     event    rule    aggregate  risk  sink     delivery
//! |        capture thread        |    decoder thread    |   matcher thread  |  two for each place |
//! ```
//!
//! The modules stand in the order of the flow. Each imports only those above it, and [`pipeline`] alone knows threads.
//! Read them from top to bottom and you have followed a packet:
//!
//! - [`time`] is packet time, [`stats`] what was counted, [`wide`] how bytes are looked at many at a time: the three that every
//!   stage may use.
//! - [`packet`] is what a capture gives; [`dnstap`] what a resolver says of its messages, where nobody saw the packets;
//!   [`capture`] reads files, standard input, interfaces and resolvers.
//! - [`encrypted`] is what can be seen of DNS that nobody can read; [`shape`] tells DNS from other bytes.
//! - [`frame`] takes the layers off; [`stream`] turns TCP segments into messages.
//! - [`message`] walks a DNS message; [`transaction`] pairs queries with responses; [`event`] says it in the words of the
//!   Network_Resolution data model.
//! - [`rule`] decides which events matter; [`aggregate`] groups them to rows; [`risk`] says of whom the rows
//!   speak; [`sink`] writes records to places, [`evidence`] the packets of what hit to a file; [`delivery`] brings them to places in the network; [`metrics`] shows the
//!   counters of a run that goes on.
//! - [`pipeline`] joins them.
//!
//! Around the flow stand the command line ([`cli`]), what becomes of it ([`config`], [`privilege`], [`rules_command`],
//! [`spool_command`], [`fleet_command`]), what
//! is said at the end ([`totals`], [`navigator`]) and what can go wrong ([`error`]).

#![cfg_attr(not(feature = "wide"), forbid(unsafe_code))]

pub mod time;

pub mod stats;

pub mod wide;

pub mod packet;

pub mod dnstap;

pub mod capture;

pub mod encrypted;
pub mod shape;

pub mod frame;

pub mod stream;

pub mod message;

pub mod transaction;

pub mod event;

pub mod rule;

pub mod aggregate;

pub mod risk;

pub mod sink;

pub mod evidence;

pub mod delivery;
pub mod metrics;

pub mod pipeline;

pub mod cli;
pub mod config;
pub mod error;
pub mod fleet_command;
pub mod navigator;
pub mod privilege;
pub mod rules_command;
pub mod spool_command;
pub mod totals;
