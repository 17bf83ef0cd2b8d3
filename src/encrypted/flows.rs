//! Which connections were seen already, so that each counts once.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{DNS_PORT, Ends, HTTPS_PORT, KnownResolvers, Operator, Protocol, Sighting, TcpStart};
use crate::time::Timestamp;

/// Where nothing goes between two UDP ports for so long, what comes then is another connection. Over TCP a SYN says so, and
/// there are connections that are silent for hours.
const IDLE: Duration = Duration::from_secs(300);
/// Time that goes back by more than this is another capture.
const JUMP_BACK: Duration = Duration::from_secs(60);
/// How many connections are remembered, at most: as many in each of two halves.
const HALF: usize = 1 << 15;
/// The ports below are not given to clients, and neither is that of NFS, whose clients like ports such as 853.
const FIRST_CLIENT_PORT: u16 = 1024;
const NFS_PORT: u16 = 2049;

/// What makes a connection the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    client: IpAddr,
    client_port: u16,
    server: IpAddr,
    server_port: u16,
    is_tcp: bool,
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
struct Flow {
    last: Timestamp,
    /// The sequence number of its SYN, which tells a repeated SYN from that of another connection between the same ports.
    start: Option<u32>,
    is_answered: bool,
    /// It was ended, by FIN or RST.
    is_closed: bool,
    /// It goes the other way round: from what looked like the server's port to somebody else's service.
    is_reversed: bool,
}

type Map = hashbrown::HashMap<Key, Flow, ahash::RandomState>;

/// The connections over which DNS may be encrypted. When the younger half is full, what is left in the older one is
/// forgotten.
#[derive(Debug)]
pub struct Flows {
    known: Arc<KnownResolvers>,
    young: Map,
    old: Map,
    /// The latest time seen.
    now: Timestamp,
    half: usize,
    /// Open connections forgotten because there were too many: a further packet of one counts it again.
    pub forgotten: u64,
}

impl Flows {
    /// None yet. On the port of HTTPS it is these resolvers that count.
    #[must_use]
    pub fn new(known: Arc<KnownResolvers>) -> Self {
        Self {
            known,
            young: Map::default(),
            old: Map::default(),
            now: Timestamp::MIN,
            half: HALF,
            forgotten: 0,
        }
    }

    /// Looks at a packet; tells what it says that was not known before.
    pub fn see(&mut self, time: Timestamp, ends: &Ends) -> Option<Sighting> {
        let (key, operator, protocol) = self.roles(ends)?;
        let from_client = (ends.src, ends.src_port) == (key.client, key.client_port);
        self.advance(time);
        let found = self
            .young
            .get(&key)
            .copied()
            .or_else(|| self.old.remove(&key));
        let before = found
            .filter(|flow| key.is_tcp || time.since(flow.last) <= IDLE)
            .filter(|flow| !flow.is_over_with(ends.tcp, from_client));
        let flow = match before {
            Some(before) => before.after(ends.tcp, from_client, time),
            None => Flow::begun(&key, ends.tcp, from_client, time)?,
        };
        self.keep(key, flow, found.is_some());
        let is_new = before.is_none();
        let is_answered = flow.is_answered && before.is_none_or(|before| !before.is_answered);
        (!flow.is_reversed && (is_new || is_answered)).then_some(Sighting {
            time,
            client: key.client,
            resolver: key.server,
            operator,
            protocol,
            is_new,
            is_answered,
        })
    }

    /// Who is the server, by its port and, on that of HTTPS, its address.
    fn roles(&self, ends: &Ends) -> Option<(Key, Option<Operator>, Protocol)> {
        let is_tcp = ends.tcp.is_some();
        let server = |address, port| {
            let operator = self.known.by_address(address);
            match (port, operator) {
                (DNS_PORT, _) if is_tcp => Some((operator, Protocol::Tls)),
                (DNS_PORT, _) => Some((operator, Protocol::Quic)),
                (HTTPS_PORT, Some(_)) => Some((operator, Protocol::Https)),
                _ => None,
            }
        };
        let (src, dst) = ((ends.src, ends.src_port), (ends.dst, ends.dst_port));
        let (client, (server, (operator, protocol))) =
            match (server(src.0, src.1), server(dst.0, dst.1)) {
                (None, None) => return None,
                (Some(found), None) => (dst, (src, found)),
                (None, Some(found)) => (src, (dst, found)),
                // Both could be: whichever it is, it has to be the same in both directions.
                (Some(found), Some(_)) if src < dst => (dst, (src, found)),
                (Some(_), Some(found)) => (src, (dst, found)),
            };
        let key = Key {
            client: client.0,
            client_port: client.1,
            server: server.0,
            server_port: server.1,
            is_tcp,
        };
        Some((key, operator, protocol))
    }

    /// Moves packet time on; time that jumps back begins anew.
    fn advance(&mut self, time: Timestamp) {
        if self.now.since(time) > JUMP_BACK {
            self.young.clear();
            self.old.clear();
            self.now = time;
        }
        self.now = self.now.max(time);
    }

    fn keep(&mut self, key: Key, flow: Flow, is_known: bool) {
        let is_full = self.young.len() >= self.half && !self.young.contains_key(&key);
        if is_full && is_known {
            self.old.insert(key, flow);
            return;
        }
        if is_full {
            let is_alive = |key: &Key, flow: &Flow| {
                !flow.is_closed && (key.is_tcp || self.now.since(flow.last) <= IDLE)
            };
            let forgotten = self
                .old
                .iter()
                .filter(|(key, flow)| is_alive(key, flow))
                .count();
            self.forgotten = self.forgotten.saturating_add(forgotten as u64);
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, flow);
    }
}

impl Flow {
    /// A flow by its first packet; `None` where that does not say who is the client.
    fn begun(key: &Key, tcp: Option<TcpStart>, from_client: bool, time: Timestamp) -> Option<Self> {
        let opens = tcp.filter(|tcp| tcp.syn);
        let is_client_port = key.client_port >= FIRST_CLIENT_PORT && key.client_port != NFS_PORT;
        if opens.is_none() && key.server_port == DNS_PORT && !is_client_port {
            return None;
        }
        Some(Self {
            last: time,
            start: opens.filter(|tcp| !tcp.ack).map(|tcp| tcp.sequence),
            is_answered: answers(tcp, from_client),
            is_closed: closes(tcp),
            // Who opens it is the client, and who accepts it is not. In the middle there is only the port to go by.
            is_reversed: opens.is_some_and(|tcp| from_client == tcp.ack),
        })
    }

    /// Whether a packet opens another connection between the same ports.
    fn is_over_with(&self, tcp: Option<TcpStart>, from_client: bool) -> bool {
        let Some(opens) = tcp.filter(|tcp| tcp.syn && !tcp.ack) else {
            return false;
        };
        let is_repeated = self.start.is_none_or(|start| start == opens.sequence);
        from_client == self.is_reversed || !is_repeated
    }

    /// The flow after another packet of it.
    fn after(self, tcp: Option<TcpStart>, from_client: bool, time: Timestamp) -> Self {
        let opens = tcp.filter(|tcp| tcp.syn && !tcp.ack);
        Self {
            last: self.last.max(time),
            start: self.start.or(opens.map(|tcp| tcp.sequence)),
            is_answered: self.is_answered || answers(tcp, from_client),
            is_closed: self.is_closed || closes(tcp),
            is_reversed: self.is_reversed,
        }
    }
}

/// Whether a packet shows that the connection came to be: one from the server, or from a client that got one. A refusal
/// (RST) is none.
fn answers(tcp: Option<TcpStart>, from_client: bool) -> bool {
    match tcp {
        None => !from_client,
        Some(tcp) if tcp.rst => false,
        Some(tcp) if from_client => tcp.ack && !tcp.syn,
        Some(tcp) => tcp.ack,
    }
}

fn closes(tcp: Option<TcpStart>) -> bool {
    tcp.is_some_and(|tcp| tcp.rst || tcp.fin)
}

#[cfg(test)]
mod tests;
