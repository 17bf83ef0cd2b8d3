//! One HTTP client for all places that speak HTTP.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::DeliveryError;
use crate::sink::Remote;

/// How much of an answer is read.
const ANSWER: u64 = 64 << 10;
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// A client of one place.
#[derive(Debug)]
pub(super) struct Client {
    agent: ureq::Agent,
    origin: String,
}

/// What a place answered.
#[derive(Debug)]
pub(super) struct Reply {
    /// The status code (RFC 9110, section 15).
    pub(super) status: u16,
    /// For how long the place asks to be left alone, where it says so in seconds.
    pub(super) after: Option<Duration>,
    /// The beginning of the answer.
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// Whether the same may be taken later: a timeout, too much at once, a fault of the place's.
    pub(super) const fn is_passing(&self) -> bool {
        matches!(self.status, 408 | 425 | 429) || self.status >= 500
    }

    /// The status, and the beginning of what was said with it, in one line.
    pub(super) fn told(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text = super::one_line(&text, super::SAID);
        format!("it answered {}: {}", self.status, text.trim())
    }
}

impl Client {
    /// A client that trusts the system's roots, or those of a file alone; an exchange may take so long.
    ///
    /// # Errors
    /// The file cannot be read, or has no certificates.
    pub(super) fn new(remote: &Remote, timeout: Duration) -> Result<Self, DeliveryError> {
        let roots = match remote.option("ca") {
            None => RootCerts::PlatformVerifier,
            Some(path) => RootCerts::Specific(Arc::new(certificates(Path::new(path))?)),
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(timeout))
            .user_agent(concat!("dnsterrier/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Ok(Self {
            agent: config.new_agent(),
            origin: remote.origin(),
        })
    }

    /// Sends bytes to a path of the place and gives its answer.
    ///
    /// # Errors
    /// Why there is none: no connection, no answer in time, a connection that was cut.
    pub(super) fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, String> {
        let mut response = self.send(path, headers, body)?;
        let after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let mut body = Vec::new();
        let reader = response.body_mut().as_reader();
        io::Read::read_to_end(&mut io::Read::take(reader, ANSWER), &mut body)
            .map_err(|error| format!("its answer broke off: {error}"))?;
        Ok(Reply {
            status: response.status().as_u16(),
            after,
            body,
        })
    }

    /// The same for an answer of any length, which is there to be read where the status is 200.
    ///
    /// # Errors
    /// As for [`Self::post`].
    pub(super) fn ask(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(Reply, Option<impl io::Read + use<>>), String> {
        let response = self.send(path, headers, body)?;
        let mut reply = Reply {
            status: response.status().as_u16(),
            after: None,
            body: Vec::new(),
        };
        let mut reader = response.into_body().into_reader();
        if reply.status == 200 {
            return Ok((reply, Some(reader)));
        }
        io::Read::read_to_end(&mut io::Read::take(&mut reader, ANSWER), &mut reply.body)
            .map_err(|error| format!("its answer broke off: {error}"))?;
        Ok((reply, None))
    }

    fn send(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<ureq::http::Response<ureq::Body>, String> {
        let mut request = self.agent.post(format!("{}{path}", self.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send(body).map_err(|error| match error {
            // As the system has it.
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, DeliveryError> {
    let failed = |reason: String| DeliveryError::File {
        path: path.to_owned(),
        what: "the certificates",
        reason,
    };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let mut list = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) =
            item.map_err(|error| failed(error.to_string()))?
        {
            list.push(certificate);
        }
    }
    if list.is_empty() {
        return Err(failed("there is none in it (PEM is expected)".to_owned()));
    }
    Ok(list)
}

/// Compresses with gzip (RFC 1952).
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    encoder.write_all(bytes).ok();
    encoder.finish().unwrap_or_default()
}
