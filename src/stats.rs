//! Every counter of a run, and the identities that they satisfy.
//!
//! Each stage owns its section and counts without locks; the sections travel with the batches, so that whoever is at
//! the end has a whole picture. `received = what became of it, name by name` holds for packets, TCP segments, messages,
//! transactions and events; [`Stats::identities`] says where it does not.

use serde::Serialize;

/// What the capture thread counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Capture {
    /// Packets read from the inputs.
    pub received: u64,
    /// Bytes of them that the capture kept.
    pub bytes: u64,
    /// Packets that hold no DNS by their ports, seen before they were copied.
    pub other_port: u64,
    /// Packets outside `--since` and `--until`.
    pub outside_time: u64,
    /// Packets handed to the decoder.
    pub handed_on: u64,
    /// Packets that the kernel dropped because its buffer was full (live only).
    pub kernel_dropped: u64,
    /// Packets that the interface or its driver dropped (live only).
    pub interface_dropped: u64,
    /// Inputs that ended in the middle of a record, or could not be read to their end.
    pub inputs_cut: u64,
}

macro_rules! counters {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct $name { $($(#[$doc])* pub $field: u64),+ }
        impl $name {
            /// Each counter with its name, in the order of the definition.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field)),+].into_iter()
            }
            /// The sum of all counters.
            #[must_use]
            pub fn total(&self) -> u64 {
                self.named().map(|(_, count)| count).fold(0, u64::saturating_add)
            }
        }
    };
}

counters! {
    /// What became of each packet that reached the decoder: exactly one of these.
    Packets {
        /// A UDP payload on a DNS port, handed on as a message.
        udp,
        /// A TCP segment on a DNS port, handed on to its stream.
        tcp,
        /// UDP or TCP on other ports.
        other_port,
        /// IP that carries neither UDP nor TCP: ICMP, ESP, OSPF, ...
        other_protocol,
        /// No IP inside: ARP, LLDP, spanning tree, ...
        not_ip,
        /// A fragment of an IP packet; fragments are not joined yet.
        fragment,
        /// Encapsulated by something that is not followed yet.
        tunnel,
        /// A link type that is not followed.
        unsupported_link,
        /// Headers that contradict themselves or end too early.
        malformed,
        /// The capture's snaplen cut the packet before the end of its headers.
        snaplen,
    }
}

counters! {
    /// What became of each TCP segment on a DNS port: exactly one of these.
    Segments {
        /// No payload: SYN, ACK, FIN, RST.
        empty,
        /// Taken in order.
        in_order,
        /// Waited for the bytes before it.
        out_of_order,
        /// Brought nothing that was not there before: a retransmission.
        retransmitted,
        /// The same segment delivered again by the mirror (same IPv4 ID, sequence number and length).
        copy,
        /// Lost: not placeable in any stream, or beyond the bounds.
        dropped,
    }
}

counters! {
    /// What the TCP streams went through; these are not an identity.
    Streams {
        /// Streams seen (one direction of a connection each).
        opened,
        /// Picked up in the middle, without their SYN.
        picked_up,
        /// Holes in the sequence numbers that were never filled.
        gaps,
        /// Bytes that could not be given to a message.
        lost_bytes,
        /// Streams given up because there were too many, or too many bytes waiting.
        evicted,
        /// Messages that the stream gave.
        messages,
        /// Messages left unfinished at the stream's end.
        unfinished,
    }
}

counters! {
    /// What became of each DNS message: exactly one of these.
    Messages {
        /// Less than the twelve bytes of a header, or bytes that are not DNS.
        not_dns,
        /// Multicast DNS (RFC 6762).
        mdns,
        /// Link-Local Multicast Name Resolution (RFC 4795).
        llmnr,
        /// A query that opened a transaction.
        query,
        /// A query that repeats an open or lingering one.
        query_retransmitted,
        /// A query that the mirror delivered again.
        query_copy,
        /// A response that met its query.
        response,
        /// A response whose query was not seen.
        response_unmatched,
        /// A second response that says the same.
        response_repeated,
        /// A second response that says something else.
        response_differing,
        /// A response that the mirror delivered again.
        response_copy,
    }
}

counters! {
    /// What became of each transaction.
    Transactions {
        /// Query and response.
        answered,
        /// Nobody answered in time, or before the capture ended.
        unanswered,
        /// A response without its query.
        response_only,
        /// Multicast: one message, never paired.
        multicast,
    }
}

/// What was done with the transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Events {
    /// Transactions whose question no loaded rule can want, and that no asked-for stream shows: counted, not decoded.
    pub not_looked_into: u64,
    /// Events made.
    pub made: u64,
    /// Open transactions closed early because there were too many.
    pub evicted: u64,
    /// Messages of which some part could not be decoded (each is in an event, with the anomaly).
    pub malformed: u64,
}

/// What the rules found and the aggregation made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// Events that reached the matcher.
    pub events: u64,
    /// Events that matched at least one rule.
    pub events_matched: u64,
    /// Pairs of a rule and an event that matched it.
    pub hits: u64,
    /// Rows written.
    pub rows: u64,
    /// Rows written before their time, because there were too many groups or their window was closed already.
    pub partial: u64,
    /// Hits whose window was closed already.
    pub late: u64,
    /// Hits outside every tile of their rule's schedule.
    pub unscheduled: u64,
}
