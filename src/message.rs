//! A lenient walk of the DNS message.

use serde::Serialize;

/// A resource record as an event shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Owner name in lower case.
    pub name: String,
    /// The type's mnemonic.
    #[serde(rename = "type")]
    pub record_type: std::borrow::Cow<'static, str>,
    /// TTL in seconds.
    pub ttl: u32,
    /// RDATA in presentation form.
    pub data: String,
}
