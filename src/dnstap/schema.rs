//! The fields of dnstap.proto (<https://github.com/dnstap/dnstap.pb>) that are used; others are passed over.
//!
//! `version` and the message's `type` are written, and of no use to us in what others write.

/// `Dnstap.Type`.
pub(super) const MESSAGE: i32 = 1;
/// `SocketFamily`: IPv4.
pub(super) const INET: i32 = 1;
/// `SocketFamily`: IPv6.
pub(super) const INET6: i32 = 2;

/// What a frame holds.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Dnstap {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) identity: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) version: Option<Vec<u8>>,
    #[prost(message, optional, tag = "14")]
    pub(super) message: Option<Message>,
    #[prost(int32, optional, tag = "15")]
    pub(super) r#type: Option<i32>,
}

/// One or two DNS messages, and who sent them to whom. Enumerations are numbers on the wire.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Message {
    #[prost(int32, optional, tag = "1")]
    pub(super) r#type: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub(super) socket_family: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub(super) socket_protocol: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) query_address: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(super) response_address: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "6")]
    pub(super) query_port: Option<u32>,
    #[prost(uint32, optional, tag = "7")]
    pub(super) response_port: Option<u32>,
    #[prost(uint64, optional, tag = "8")]
    pub(super) query_time_sec: Option<u64>,
    #[prost(fixed32, optional, tag = "9")]
    pub(super) query_time_nsec: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "10")]
    pub(super) query_message: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "12")]
    pub(super) response_time_sec: Option<u64>,
    #[prost(fixed32, optional, tag = "13")]
    pub(super) response_time_nsec: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "14")]
    pub(super) response_message: Option<Vec<u8>>,
}
