//! Every counter of a run, and the identities that they satisfy.
//!
//! Each stage owns its section and counts without locks; the sections travel with the batches, so that whoever is at
//! the end has a whole picture. `received = what became of it, name by name` holds for packets, TCP segments, messages,
//! transactions and events; [`Stats::identities`] says where it does not.

use std::cmp::Reverse;
use std::net::IpAddr;

use serde::Serialize;

use crate::time::Timestamp;

/// A counter as it is defined here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Its name.
    pub name: &'static str,
    /// What it counts, in the lines of its definition.
    pub says: &'static [&'static str],
    /// How much it came to.
    pub count: u64,
}

macro_rules! counters {
    (
        $(#[doc = $says:literal])* $(#[derive($derived:ident)])?
        $name:ident $(of { $($(#[doc = $first_doc:literal])* $first:ident: $first_kind:ty),+ $(,)? })?
        { $($(#[doc = $doc:literal])* $field:ident),+ $(,)? }
        $(beside { $($(#[doc = $other_doc:literal])* $other:ident: $kind:ty),+ $(,)? })?
    ) => {
        $(#[doc = $says])*
        #[derive(Clone, $($derived,)? Debug, Default, PartialEq, Eq, Serialize)]
        pub struct $name {
            $($($(#[doc = $first_doc])* pub $first: $first_kind,)+)?
            $($(#[doc = $doc])* pub $field: u64,)+
            $($($(#[doc = $other_doc])* pub $other: $kind,)+)?
        }
        impl $name {
            /// What all of it is, in the lines of its definition.
            pub const SAYS: &'static [&'static str] = &[$($says),*];
            /// Each counter, in the order of the definition.
            pub fn counters(&self) -> impl Iterator<Item = Counter> {
                [$(Counter { name: stringify!($field), says: &[$($doc),*], count: self.$field }),+].into_iter()
            }
            /// Each counter with its name, in the order of the definition.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                self.counters().map(|counter| (counter.name, counter.count))
            }
            /// The sum of all counters.
            #[must_use]
            pub fn total(&self) -> u64 {
                self.counters().map(|counter| counter.count).fold(0, u64::saturating_add)
            }
            /// Adds the counters of another thread that counted the same things; what stands beside them stays.
            pub fn add(&mut self, other: &Self) {
                $(self.$field = self.$field.saturating_add(other.$field);)+
            }
        }
    };
}

counters! {
    /// What the capture thread counted.
    #[derive(Copy)]
    Capture {
        /// Packets read from the inputs; also frames of dnstap.
        received,
        /// Bytes of them that the capture kept.
        bytes,
        /// Packets that hold no DNS by their ports, seen before they were copied.
        other_port,
        /// Packets outside `--since` and `--until`.
        outside_time,
        /// Packets handed to the decoder.
        handed_on,
        /// Packets that the kernel dropped because its buffer was full (live only).
        kernel_dropped,
        /// Packets that the interface or its driver dropped (live only).
        interface_dropped,
        /// Inputs that ended in the middle of a record, or could not be read to their end.
        inputs_cut,
        /// Connections over which a resolver sent dnstap (live only).
        dnstap_connections,
        /// Connections for dnstap that were closed at once: too many, or frames of another kind (live only).
        dnstap_refused,
        /// Connections for dnstap that ended in the middle of a frame, without saying that they end, or in what cannot be
        /// Frame Streams (live only).
        dnstap_cut,
        /// Frames of dnstap without a time, or, live, with one that is not now: they got that of the frame before or, live, the
        /// machine's.
        dnstap_untimely,
        /// UDP messages of which the snaplen cut off the end; they are read as far as they go.
        messages_cut,
    } beside {
        /// Capture time of the first packet.
        first: Option<Timestamp>,
        /// Capture time of the latest packet.
        last: Option<Timestamp>,
    }
}

counters! {
    /// What became of each packet that reached the decoder: exactly one of these.
    #[derive(Copy)]
    Packets {
        /// A UDP payload on a DNS port, or of the shape of DNS with `--any-port`, handed on as a message.
        udp,
        /// A TCP segment on a DNS port, or of a conversation found with `--any-port`, handed on to its stream.
        tcp,
        /// UDP or TCP on other ports.
        other_port,
        /// IP that carries neither UDP nor TCP: ICMP, ESP, OSPF, ...
        other_protocol,
        /// No IP inside: ARP, LLDP, spanning tree, ...
        not_ip,
        /// A fragment of an IP packet that waits for the others; the one that completes them is counted as what they hold.
        /// Also a fragment of 802.11 or ARCnet, which are not joined.
        fragment,
        /// A fragment that was there already, delivered again by the mirror.
        fragment_copy,
        /// A fragment that overlaps another, or belongs to a packet with such fragments (RFC 5722, section 3).
        fragment_overlap,
        /// Encapsulated by something that is not followed, or with options that hide where the inside begins.
        tunnel,
        /// More encapsulations in one another than are taken off.
        too_deep,
        /// The inside is encrypted: 802.11, MACsec, PPP with MPPE.
        encrypted,
        /// A link type that is not followed.
        unsupported_link,
        /// Headers that contradict themselves or end too early.
        malformed,
        /// The capture's snaplen cut the packet before the end of its headers.
        snaplen,
        /// No packet but a frame of dnstap.
        dnstap,
    }
}

counters! {
    /// What became of each frame of dnstap: exactly one of these.
    #[derive(Copy)]
    Dnstap {
        /// Gave a query.
        query,
        /// Gave a response.
        response,
        /// Gave a query and its response.
        both,
        /// Of another type than `MESSAGE`, the only one that there is.
        not_a_message,
        /// Not the Protocol Buffers that dnstap.proto describes.
        malformed,
        /// Holds neither a query nor a response.
        no_dns,
    }
}

counters! {
    /// What was handed on of packets that hold several, beyond the first: exactly one of these each.
    #[derive(Copy)]
    Further {
        /// UDP payloads on a DNS port.
        udp,
        /// TCP segments on a DNS port.
        tcp,
    }
}

counters! {
    /// What `--any-port` found on other ports by its shape; part of the counters elsewhere, and not an identity.
    #[derive(Copy)]
    AnyPort {
        /// Conversations: two addresses, their ports, UDP or TCP. One that is forgotten and found again counts again.
        conversations,
        /// Messages over UDP, one a datagram.
        udp_messages,
        /// TCP segments in these conversations.
        tcp_segments,
        /// Messages over TCP.
        tcp_messages,
    }
}

counters! {
    /// The encapsulations that were taken off, by kind; these are not an identity.
    #[derive(Copy)]
    Tunnels {
        /// GRE, versions 0 and 1 (RFC 2784, RFC 2890, RFC 1701, RFC 2637).
        gre,
        /// NVGRE (RFC 7637).
        nvgre,
        /// ERSPAN type I: GRE without a sequence number.
        erspan1,
        /// ERSPAN type II.
        erspan2,
        /// ERSPAN type III.
        erspan3,
        /// VXLAN (RFC 7348).
        vxlan,
        /// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe).
        vxlan_gpe,
        /// Geneve (RFC 8926).
        geneve,
        /// Network service header (RFC 8300).
        nsh,
        /// IPv4 in IPv4 (RFC 2003).
        ipip,
        /// IPv6 in IPv4 (RFC 4213).
        ip6in4,
        /// IPv4 in IPv6 (RFC 2473).
        ip4in6,
        /// IPv6 in IPv6 (RFC 2473).
        ip6in6,
        /// Ethernet in IP (RFC 3378).
        etherip,
        /// MPLS label stacks (RFC 3032).
        mpls,
        /// Ethernet over MPLS (RFC 4448).
        pseudowire,
        /// PPP over Ethernet (RFC 2516).
        pppoe,
        /// PPP in another tunnel (RFC 1661).
        ppp,
        /// L2TP version 2 (RFC 2661).
        l2tpv2,
        /// L2TP version 3 (RFC 3931).
        l2tpv3,
        /// GTP user plane (3GPP TS 29.281).
        gtp_u,
        /// Teredo (RFC 4380).
        teredo,
        /// TaZmen Sniffer Protocol.
        tzsp,
        /// Provider backbone bridging (802.1ah).
        pbb,
        /// E-tag (802.1BR).
        etag,
        /// Cisco's VN-tag.
        vntag,
        /// MACsec with its payload in clear (802.1AE).
        macsec,
        /// No packet, but dnstap: a server says what it took and sent.
        dnstap,
        /// DNS over TLS (RFC 7858), taken off by that server.
        dot,
        /// DNS over HTTPS (RFC 8484), taken off by that server.
        doh,
        /// DNS over QUIC (RFC 9250), taken off by that server.
        doq,
        /// DNSCrypt, taken off by that server.
        dnscrypt,
    }
}

counters! {
    /// What the joining of fragments went through; these are not an identity.
    #[derive(Copy)]
    Fragments {
        /// IP packets joined from their fragments.
        joined,
        /// IP packets whose fragments did not all come in time.
        timed_out,
        /// IP packets given up because there were too many waiting, or too many bytes.
        evicted,
        /// IP packets given up because fragments overlapped (RFC 5722).
        overlapping,
        /// IP packets still incomplete when the capture ended.
        unfinished,
        /// Beginnings of incomplete datagrams that nobody asked for in time.
        forgotten,
        /// Beginnings of incomplete datagrams on a DNS port, handed on as messages.
        beginnings,
    }
}

counters! {
    /// What became of each TCP segment on a DNS port: exactly one of these.
    #[derive(Copy)]
    Segments {
        /// No payload: SYN, ACK, FIN, RST.
        empty,
        /// Brought the next byte of its stream.
        in_order,
        /// Came before bytes that precede it, and waited for them; or from before the place where its stream was
        /// picked up.
        out_of_order,
        /// Brought nothing that was not there before: a retransmission, a keep-alive.
        retransmitted,
        /// The same segment delivered again by the mirror (same IPv4 ID, sequence number and length within 50 ms).
        copy,
        /// Payload that belongs to no stream: with RST, or without a TCP header.
        dropped,
    }
}

counters! {
    /// What the TCP streams went through; these are not an identity.
    #[derive(Copy)]
    Streams {
        /// Streams seen (one direction of a connection each).
        opened,
        /// Picked up in the middle, without their SYN.
        picked_up,
        /// Holes in the sequence numbers that were never filled.
        gaps,
        /// Bytes that are in no message: never seen, cut by the capture, or not understood.
        lost_bytes,
        /// Streams given up because there were too many, or too many bytes waiting.
        evicted,
        /// Messages that the streams gave, whole or in part.
        messages,
        /// Messages that began and did not end: through a hole, the capture's cut, or the end of their stream. Given
        /// in part where the question is there.
        unfinished,
    }
}

counters! {
    /// What became of each DNS message: exactly one of these.
    #[derive(Copy)]
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
    #[derive(Copy)]
    Transactions {
        /// Query and response.
        answered,
        /// Nobody answered in time, or before the capture ended.
        unanswered,
        /// A response without its query.
        response_only,
        /// Multicast: one message, never paired.
        multicast,
        /// A multicast message that the mirror delivered again; no transaction.
        multicast_copy,
    }
}

impl Dnstap {
    /// The messages that the frames gave.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.query
            .saturating_add(self.response)
            .saturating_add(self.both.saturating_mul(2))
    }
}

counters! {
    /// What became of the events that other runs had stored in a database, and that were read again.
    ///
    /// `received` = `events` + `copies` + `unreadable`.
    #[derive(Copy)]
    Stored {
        /// Records that the database gave.
        received,
        /// An event that goes on to the rules.
        events,
        /// The same event once more: it was sent twice.
        copies,
        /// Not an event, or one of another version of the program; the run ends with an error.
        unreadable,
    } beside {
        /// The `_time` of the first event.
        first: Option<Timestamp>,
        /// The `_time` of the latest event.
        last: Option<Timestamp>,
    }
}

counters! {
    /// What was done with the transactions.
    #[derive(Copy)]
    Events {
        /// Transactions whose question no loaded rule can want, and that no asked-for stream shows: counted, not decoded.
        not_looked_into,
        /// Events made.
        made,
        /// Events outside `--since` and `--until`.
        outside_time,
        /// Open transactions closed early because there were too many (their events are made, or they are not looked into).
        evicted,
    }
}

counters! {
    /// What the rules found and the aggregation made of it.
    ///
    /// At the end of a run `additions = counted + counted_held_back`: every hit is in the count of a row that was written, or
    /// held back.
    #[derive(Copy)]
    Rows {
        /// Events that reached the matcher.
        events,
        /// Events that matched at least one rule.
        events_matched,
        /// Pairs of a rule and an event that matched it.
        hits,
        /// Hits whose window was closed already.
        late,
        /// Hits outside every tile of their rule's schedule.
        unscheduled,
        /// Hits in more tiles of their rule's schedule than are followed; the earliest are.
        tiles_cut,
        /// Combinations of multivalued `by` fields beyond those that one event may have.
        combinations_cut,
        /// Hits of a live run that were not shown at once, because no more sources and names are remembered as shown; they may
        /// be old.
        shown_cut,
        /// Hits that a correlation had to forget before their time was over, because there were too many.
        correlation_evicted,
        /// Additions to groups: one for each hit, tile and distinct combination of the `by` fields' values.
        additions,
        /// Rows written.
        rows,
        /// Rows written that may not be all of their group, because there were too many groups or their window was closed
        /// already.
        partial,
        /// The sum of the counts of the rows written.
        counted,
        /// Whole rows that were not written, because a column did not come to what the rule's `having` asks.
        held_back,
        /// The sum of their counts.
        counted_held_back,
    }
}

counters! {
    /// What the user's filters did. `matched` = `removed` + the hits of the rows.
    Filters {
        /// Pairs of a rule and an event that matched it, before the filters.
        matched,
        /// Those of them that a filter took away.
        removed,
    } beside {
        /// Filter by filter.
        filters: Vec<Filter>,
    }
}

/// What one rule found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleHits {
    /// Its name.
    pub rule: String,
    /// Its hits, after the filters.
    pub hits: u64,
}

/// What one filter did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// The rule that it names.
    pub rule: String,
    /// The file that it is in.
    pub file: String,
    /// The line at which it begins.
    pub line: u32,
    /// Who answers for it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// From then on it filters no longer.
    pub expires: Timestamp,
    /// Whether packet time has come so far.
    pub expired: bool,
    /// Hits that it took away.
    pub removed: u64,
    /// Hits that it would have taken away, had it not expired.
    pub passed: u64,
}

counters! {
    /// What became of the rows as risk. `objects` = `without_value` + `client_scored` + `joined` + `suppressed` + `events`.
    #[derive(Copy)]
    Risk {
        /// Rows of a run without `--risk`.
        rows_not_asked,
        /// Rows of rules without risk.
        rows_without_risk,
        /// Rows of rules with risk.
        rows_scored,
        /// Risk objects of these rows: each row has as many as its rule names.
        objects,
        /// Those for which the row has no value.
        without_value,
        /// Those of a resolver's or a NAT's row whose client is among the hits and is scored in its stead.
        client_scored,
        /// Those that were joined with the risk event of an earlier row.
        joined,
        /// Risk events left out because the same was said less than the rule's throttle ago.
        suppressed,
        /// Risk events written.
        events,
        /// Those of them behind whose source the client is hidden.
        client_hidden,
        /// Those of them of whose object, rule and window there may be others.
        partial,
    }
}

counters! {
    /// How often the rules, filters, lookups and assets were read anew while the run went on.
    #[derive(Copy)]
    Reloads {
        /// They were taken.
        taken,
        /// There was a mistake in them, and the run went on with those of before.
        refused,
    }
}

counters! {
    /// What became of a stream's records on their way to one place in the network. `found` + `queued` = `delivered` + `refused` +
    /// `dropped` + `not_stored` + `damaged` + `left`.
    Delivery of {
        /// The place.
        place: String,
        /// The stream.
        stream: String,
        /// The folder of its spool.
        spool: String,
    } {
        /// Records that waited in the spool when the run began.
        found,
        /// Records that the run handed over.
        queued,
        /// Records that the place says it has; of syslog, which says nothing, those that were written to it.
        delivered,
        /// Those of them that are there in part only, as the place takes none so long.
        cut,
        /// Records that the place will never take; they are in `refused.jsonl`.
        refused,
        /// Those of them for which there was no room in that file any more.
        refused_lost,
        /// Records that had to go because the spool was full.
        dropped,
        /// Records that could not be written to the spool: the disk was full, or they were too long.
        not_stored,
        /// Records that could not be read from the spool any more.
        damaged,
        /// Records that are in the spool.
        left,
        /// Attempts to send.
        attempts,
        /// Attempts that failed and were, or are to be, made again.
        retried,
        /// Bytes of the records that were delivered.
        bytes,
    } beside {
        /// Why the last attempt failed, where none has worked since.
        trouble: Option<String>,
    }
}

impl Delivery {
    /// What a stream's records are called, one of them and many.
    #[must_use]
    pub fn nouns(stream: &str) -> [&str; 2] {
        match stream {
            "rows" => ["row", "rows"],
            "hits" => ["hit", "hits"],
            "sources" => ["source", "sources"],
            "risk" => ["risk event", "risk events"],
            "events" => ["event", "events"],
            "sensors" => ["report of a sensor", "reports of sensors"],
            other => [other, other],
        }
    }
}

counters! {
    /// How many entries the tables have at the moment; at the end of a run, what is left in them. These are no counters: they
    /// rise and fall.
    #[derive(Copy)]
    Tables {
        /// TCP streams, one for each direction of a connection.
        streams,
        /// Transactions, open and lingering.
        transactions,
        /// Groups of hits that are not rows yet.
        groups,
        /// Source addresses with hits, or with encrypted DNS.
        sources,
    }
}

/// All counters of a run, as `--stats` writes them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// The program's version.
    pub version: &'static str,
    /// The sensor's name.
    pub sensor: String,
    /// The inputs in the order in which they were read.
    pub inputs: Vec<String>,
    /// `candidates`: only transactions that a rule can want were decoded; `everything`: all.
    pub mode: &'static str,
    /// The capture thread.
    pub capture: Capture,
    /// The packets that reached the decoder.
    pub packets: Packets,
    /// What was handed on of packets that hold several.
    pub further: Further,
    /// The frames of dnstap.
    pub dnstap: Dnstap,
    /// What was found on other ports.
    pub any_port: AnyPort,
    /// The encapsulations that were taken off.
    pub tunnels: Tunnels,
    /// The joining of fragments.
    pub fragments: Fragments,
    /// The TCP segments.
    pub segments: Segments,
    /// The TCP streams.
    pub streams: Streams,
    /// The messages.
    pub messages: Messages,
    /// The transactions.
    pub transactions: Transactions,
    /// Encrypted DNS.
    pub encrypted_dns: EncryptedDns,
    /// The hosts.
    pub hosts: Hosts,
    /// Lookups whose real clients are not on the wire here.
    pub hidden_clients: HiddenClients,
    /// What was read again of events that other runs had stored.
    pub stored: Stored,
    /// The events.
    pub events: Events,
    /// The filters.
    pub filters: Filters,
    /// The rules that ran, but for those whose hits are for correlations alone.
    pub rules: Vec<RuleHits>,
    /// The rows.
    pub rows: Rows,
    /// The risk.
    pub risk: Risk,
    /// The packets of what hit.
    pub evidence: Evidence,
    /// The packets with DNS, where they were to be written.
    pub written_packets: WrittenPackets,
    /// What was read anew.
    pub reloads: Reloads,
    /// The deliveries, one for each stream to each place in the network.
    pub deliveries: Vec<Delivery>,
    /// The tables.
    pub tables: Tables,
    /// What must be equal at the end, and whether it is; empty while the run goes on.
    pub identities: Vec<Identity>,
}

counters! {
    /// The packets of what hit.
    #[derive(Copy)]
    Evidence {
        /// Hits whose transactions' packets are evidence.
        hits,
        /// Hits of transactions of which no packet was seen: a resolver told of them by dnstap.
        hits_without_packets,
        /// Packets that are evidence.
        packets,
        /// Those that were written.
        written,
        /// Packets of hits that were written before they were said to be of these hits, too: of correlations, or after too little
        /// room.
        again,
        /// Packets that were written before others that are older, for want of room.
        early,
        /// Packets of hits that were not kept for want of room, once for each hit.
        lost,
        /// Copies and repeats that were forgotten for want of room, before it was known whether what they belong to hits.
        forgotten,
        /// Comments that a packet did not get: it has 100.
        comments_cut,
        /// Values and windows that a comment does not name: more than 100, or too long together.
        values_cut,
    } beside {
        /// Whether evidence was asked for.
        asked_for: bool,
    }
}

counters! {
    /// The packets with DNS, where they were to be written.
    #[derive(Copy)]
    WrittenPackets {
        /// Written.
        written,
        /// Handed to the decoder and not written: no DNS was found in them.
        without_dns,
        /// No packets but frames of dnstap, which cannot be written.
        without_packets,
    } beside {
        /// Whether they were to be written.
        asked_for: bool,
    }
}

counters! {
    /// What was seen of the hosts.
    #[derive(Copy)]
    Hosts {
        /// Addresses that asked.
        clients,
        /// Addresses that answered.
        resolvers,
    } beside {
        /// Whether there were more addresses than are remembered.
        more: bool,
    }
}

counters! {
    /// What was seen of DNS that nobody on the wire can read.
    EncryptedDns {
        /// Connections to port 853 over TCP: DNS over TLS (RFC 7858).
        dot,
        /// Connections to port 853 over UDP: DNS over QUIC (RFC 9250), or over DTLS (RFC 8094).
        doq,
        /// Connections to port 443 of known resolvers: DNS over HTTPS (RFC 8484).
        doh,
        /// Those of all these connections that came to be.
        answered,
        /// Lookups of the names of known resolvers.
        lookups,
        /// Addresses that connected or looked up. One that was given up because there were too many, and came again, counts
        /// again.
        sources,
        /// Open connections that were forgotten because there were too many; what goes on over them is counted as new ones.
        forgotten,
    } beside {
        /// The resolvers with the most connections and lookups.
        resolvers: Vec<EncryptedResolver>,
        /// Whether there were more resolvers.
        more_resolvers: bool,
    }
}

/// A resolver over whose connections DNS is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EncryptedResolver {
    /// Who runs it where that is known, else its address.
    pub name: String,
    /// Connections to it.
    pub connections: u64,
    /// Lookups of its names.
    pub lookups: u64,
}

/// Lookups behind which other hosts hide, counted at the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HiddenClients {
    /// Lookups of resolvers that answered nobody here: those without RD, and all of resolvers that were named.
    pub behind_resolvers: u64,
    /// Lookups of addresses named with `--nat`.
    pub behind_nat: u64,
    /// The addresses with the most of them.
    pub addresses: Vec<HiddenBehind>,
    /// How many more addresses there were.
    pub more_addresses: u64,
}

impl HiddenClients {
    /// How many of the addresses are named.
    pub const NAMED: usize = 10;

    /// Adds other lookups, of other addresses.
    fn add(&mut self, other: &Self) {
        self.behind_resolvers += other.behind_resolvers;
        self.behind_nat += other.behind_nat;
        self.addresses.extend(&other.addresses);
        self.more_addresses += other.more_addresses;
        self.name_some();
    }

    /// Leaves the addresses with the most lookups, and counts the others.
    pub fn name_some(&mut self) {
        let list = &mut self.addresses;
        list.sort_unstable_by_key(|behind| (Reverse(behind.lookups), behind.address));
        self.more_addresses += list.len().saturating_sub(Self::NAMED) as u64;
        list.truncate(Self::NAMED);
    }
}

/// An address behind which other hosts hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HiddenBehind {
    /// The address.
    pub address: IpAddr,
    /// `resolver` or `nat`.
    pub role: &'static str,
    /// Its lookups.
    pub lookups: u64,
}

/// Two sums that must be equal at the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// What is said to be equal.
    pub says: &'static str,
    /// The left side.
    pub left: u64,
    /// The right side.
    pub right: u64,
    /// Whether they are.
    pub holds: bool,
}

/// How the counters of a section go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// Each is one of its kind, and their sum has a meaning; the word is what they differ in.
    By(&'static str),
    /// Each is something else.
    Apart,
    /// Each is how many there are at the moment of one of its kind.
    Now(&'static str),
}

/// Counters that belong together, as they have one object in `--stats`.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name there.
    pub name: &'static str,
    /// What it is, in the lines of its definition.
    pub says: &'static [&'static str],
    /// How its counters go together.
    pub together: Together,
    /// The counters.
    pub counters: Vec<Counter>,
}

impl Stats {
    /// Every counter that is known while the run goes on, section by section. A new one is here or does not compile.
    #[must_use]
    pub fn sections(&self) -> Vec<Section> {
        use Together::{Apart, By, Now};
        macro_rules! sections {
            ($($name:ident: $kind:ident $together:expr),+ $(,)? ; $($no_counters:ident),+) => {{
                let Self { $($name,)+ $($no_counters: _),+ } = self;
                vec![$(Section {
                    name: stringify!($name),
                    says: $kind::SAYS,
                    together: $together,
                    counters: $name.counters().collect(),
                }),+]
            }};
        }
        sections! {
            capture: Capture Apart,
            packets: Packets By("outcome"),
            further: Further By("kind"),
            dnstap: Dnstap By("outcome"),
            any_port: AnyPort Apart,
            tunnels: Tunnels By("kind"),
            fragments: Fragments Apart,
            segments: Segments By("outcome"),
            streams: Streams Apart,
            messages: Messages By("outcome"),
            transactions: Transactions By("outcome"),
            encrypted_dns: EncryptedDns Apart,
            hosts: Hosts Apart,
            stored: Stored Apart,
            events: Events Apart,
            filters: Filters Apart,
            rows: Rows Apart,
            risk: Risk Apart,
            evidence: Evidence Apart,
            written_packets: WrittenPackets By("outcome"),
            reloads: Reloads By("outcome"),
            tables: Tables Now("table"),
            // Words, the hits by rule, and what is counted at the end.
            ; version, sensor, inputs, mode, rules, hidden_clients, deliveries, identities
        }
    }

    /// Adds what another thread counted of the same run, as far as threads share work. A new section is here or does not compile.
    pub fn add(&mut self, other: &Self) {
        macro_rules! add {
            ($($shared:ident),+ $(,)? ; $($not_shared:ident),+ $(,)?) => {{
                let Self { $($shared,)+ $($not_shared: _),+ } = other;
                $(self.$shared.add($shared);)+
            }};
        }
        add! {
            capture, packets, further, dnstap, any_port, tunnels, fragments, segments, streams, messages, transactions,
            encrypted_dns, hosts, hidden_clients, events, written_packets, reloads, tables
            // What the matcher counts, or whoever reads stored events, and words.
            ; version, sensor, inputs, mode, stored, filters, rules, rows, risk, evidence, deliveries, identities
        }
        let times = [self.capture.first, other.capture.first];
        self.capture.first = times.into_iter().flatten().min();
        self.capture.last = self.capture.last.max(other.capture.last);
        self.hosts.more |= other.hosts.more;
    }

    /// How much was received of the inputs: packets, or events that were stored.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.capture.received.saturating_add(self.stored.received)
    }

    /// Adds up both sides of every identity; they hold at the end of a run.
    #[must_use]
    pub fn identities(&self) -> Vec<Identity> {
        let (capture, transactions) = (&self.capture, &self.transactions);
        let transactions_total = transactions.answered
            + transactions.unanswered
            + transactions.response_only
            + transactions.multicast;
        let delivered = |count: fn(&Delivery) -> u64| self.deliveries.iter().map(count).sum();
        [
            (
                "packets received = outside_time + other_port + handed_on",
                capture.received,
                capture.outside_time + capture.other_port + capture.handed_on,
            ),
            (
                "packets handed_on = sum of the packets' outcomes",
                capture.handed_on,
                self.packets.total(),
            ),
            (
                "packets handed_on, where those with DNS are written = sum of what became of them there",
                if self.written_packets.asked_for {
                    capture.handed_on
                } else {
                    0
                },
                self.written_packets.total(),
            ),
            (
                "hits, where evidence is asked for = hits with packets + hits without",
                if self.evidence.asked_for {
                    self.rows.hits
                } else {
                    0
                },
                self.evidence.hits + self.evidence.hits_without_packets,
            ),
            (
                "packets that are evidence = those written",
                self.evidence.packets,
                self.evidence.written,
            ),
            (
                "frames of dnstap = sum of their outcomes",
                self.packets.dnstap,
                self.dnstap.total(),
            ),
            (
                "TCP packets, and further TCP segments in them = sum of the segments' outcomes",
                self.packets.tcp + self.further.tcp,
                self.segments.total(),
            ),
            (
                "UDP packets, further datagrams in them, beginnings of lost ones, messages of streams and of dnstap = sum of the messages' outcomes",
                self.packets.udp
                    + self.further.udp
                    + self.fragments.beginnings
                    + self.streams.messages
                    + self.dnstap.messages(),
                self.messages.total(),
            ),
            (
                "queries = answered + unanswered transactions",
                self.messages.query,
                transactions.answered + transactions.unanswered,
            ),
            (
                "responses = answered transactions",
                self.messages.response,
                transactions.answered,
            ),
            (
                "responses unmatched or differing = response_only transactions",
                self.messages.response_unmatched + self.messages.response_differing,
                transactions.response_only,
            ),
            (
                "multicast messages = multicast transactions + their copies",
                self.messages.mdns + self.messages.llmnr,
                transactions.multicast + transactions.multicast_copy,
            ),
            (
                "transactions = events made + transactions not_looked_into",
                transactions_total,
                self.events.made + self.events.not_looked_into,
            ),
            (
                "stored records received = events + copies + unreadable",
                self.stored.received,
                self.stored.events + self.stored.copies + self.stored.unreadable,
            ),
            (
                "events made, and stored ones read again = events outside_time + events at the matcher",
                self.events.made + self.stored.events,
                self.events.outside_time + self.rows.events,
            ),
            (
                "matches of rules = removed by filters + hits",
                self.filters.matched,
                self.filters.removed + self.rows.hits,
            ),
            (
                "additions to groups = sum of the counts of the rows written or held back",
                self.rows.additions,
                self.rows.counted + self.rows.counted_held_back,
            ),
            (
                "rows = rows not asked for risk + without risk + scored",
                self.rows.rows,
                self.risk.rows_not_asked + self.risk.rows_without_risk + self.risk.rows_scored,
            ),
            (
                "risk objects of rows = without value + client scored instead + joined + suppressed + risk events",
                self.risk.objects,
                self.risk.without_value
                    + self.risk.client_scored
                    + self.risk.joined
                    + self.risk.suppressed
                    + self.risk.events,
            ),
            (
                "records found in spools or queued for places = delivered + refused + dropped + not_stored + damaged + left",
                delivered(|it| it.found + it.queued),
                delivered(|it| {
                    it.delivered + it.refused + it.dropped + it.not_stored + it.damaged + it.left
                }),
            ),
        ]
        .map(|(says, left, right)| Identity {
            says,
            left,
            right,
            holds: left == right,
        })
        .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counters of a run in which everything adds up.
    fn sound() -> Stats {
        Stats {
            capture: Capture {
                received: 14,
                other_port: 2,
                outside_time: 1,
                handed_on: 11,
                ..Capture::default()
            },
            packets: Packets {
                udp: 4,
                tcp: 2,
                not_ip: 1,
                dnstap: 4,
                ..Packets::default()
            },
            dnstap: Dnstap {
                query: 1,
                response: 1,
                both: 1,
                malformed: 1,
                ..Dnstap::default()
            },
            segments: Segments {
                empty: 1,
                in_order: 1,
                ..Segments::default()
            },
            streams: Streams {
                messages: 1,
                ..Streams::default()
            },
            messages: Messages {
                query: 2,
                query_copy: 2,
                response: 1,
                response_copy: 2,
                response_unmatched: 1,
                mdns: 1,
                ..Messages::default()
            },
            transactions: Transactions {
                answered: 1,
                unanswered: 1,
                response_only: 1,
                multicast: 1,
                ..Transactions::default()
            },
            stored: Stored {
                received: 4,
                events: 2,
                copies: 1,
                unreadable: 1,
                ..Stored::default()
            },
            events: Events {
                made: 3,
                not_looked_into: 1,
                outside_time: 1,
                ..Events::default()
            },
            filters: Filters {
                matched: 3,
                removed: 1,
                ..Filters::default()
            },
            evidence: Evidence {
                hits: 1,
                hits_without_packets: 1,
                packets: 2,
                written: 2,
                asked_for: true,
                ..Evidence::default()
            },
            written_packets: WrittenPackets {
                written: 6,
                without_dns: 1,
                without_packets: 4,
                asked_for: true,
            },
            rows: Rows {
                events: 4,
                hits: 2,
                additions: 5,
                counted: 3,
                counted_held_back: 2,
                rows: 3,
                ..Rows::default()
            },
            risk: Risk {
                rows_not_asked: 1,
                rows_without_risk: 1,
                rows_scored: 1,
                objects: 5,
                without_value: 1,
                client_scored: 1,
                joined: 1,
                suppressed: 1,
                events: 1,
                ..Risk::default()
            },
            deliveries: vec![Delivery {
                found: 1,
                queued: 20,
                delivered: 6,
                refused: 5,
                dropped: 4,
                not_stored: 3,
                damaged: 2,
                left: 1,
                ..Delivery::default()
            }],
            ..Stats::default()
        }
    }

    #[test]
    fn identities_hold_where_all_is_counted() {
        assert!(
            sound().identities().iter().all(|identity| identity.holds),
            "{:#?}",
            sound().identities()
        );
    }

    #[test]
    fn one_thing_lost_breaks_an_identity() {
        let losses: [fn(&mut Stats); 31] = [
            |stats| stats.written_packets.written -= 1,
            |stats| stats.written_packets.without_packets -= 1,
            |stats| stats.evidence.hits_without_packets -= 1,
            |stats| stats.evidence.written -= 1,
            |stats| stats.capture.other_port -= 1,
            |stats| stats.capture.handed_on -= 1,
            |stats| stats.packets.not_ip -= 1,
            |stats| stats.dnstap.malformed -= 1,
            |stats| (stats.dnstap.both, stats.dnstap.query) = (0, 2),
            |stats| stats.segments.empty -= 1,
            |stats| stats.messages.response -= 1,
            |stats| stats.transactions.unanswered -= 1,
            |stats| stats.transactions.multicast -= 1,
            |stats| stats.events.not_looked_into -= 1,
            |stats| stats.stored.events -= 1,
            |stats| stats.stored.copies -= 1,
            |stats| stats.stored.unreadable -= 1,
            |stats| stats.rows.events -= 1,
            |stats| stats.rows.counted -= 1,
            |stats| stats.filters.removed -= 1,
            |stats| stats.rows.hits -= 1,
            |stats| stats.risk.rows_scored -= 1,
            |stats| stats.risk.joined -= 1,
            |stats| stats.risk.events -= 1,
            |stats| stats.rows.counted_held_back -= 1,
            |stats| stats.deliveries[0].delivered -= 1,
            |stats| stats.deliveries[0].refused -= 1,
            |stats| stats.deliveries[0].dropped -= 1,
            |stats| stats.deliveries[0].not_stored -= 1,
            |stats| stats.deliveries[0].damaged -= 1,
            |stats| stats.deliveries[0].left -= 1,
        ];
        for (place, lose) in losses.into_iter().enumerate() {
            let mut stats = sound();
            lose(&mut stats);
            assert!(
                !stats.identities().iter().all(|identity| identity.holds),
                "loss {place} goes unseen"
            );
        }
    }
}
