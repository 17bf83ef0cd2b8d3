//! What a URL of Kafka says, as the client's settings.

use std::path::Path;
use std::time::Duration;

use rdkafka::config::ClientConfig;

use super::super::{DeliveryError, secret};
use crate::sink::Remote;

/// How long an attempt waits for an answer where `timeout=` says nothing.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// A topic's name is not longer.
const LONGEST: usize = 249;

/// Settings that are always the same. A message under way stays so until the cluster answers: it is ours to give up.
const ALWAYS: [(&str, &str); 10] = [
    ("client.id", "dnsterrier"),
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("message.timeout.ms", "0"),
    // As clients in Java choose the partition: what others write with the same key meets ours.
    ("partitioner", "murmur2_random"),
    // More than a batch of ours has, which is all that is under way; and no answer is larger.
    ("queue.buffering.max.messages", "16384"),
    ("queue.buffering.max.kbytes", "32768"),
    ("receive.message.max.bytes", "8388608"),
    ("topic.metadata.propagation.max.ms", "10000"),
    ("socket.keepalive.enable", "true"),
];

/// The topic that stands behind the hosts.
///
/// # Errors
/// It cannot be one.
pub(super) fn topic(remote: &Remote) -> Result<String, DeliveryError> {
    let name = remote.path.as_str();
    let is_name = !name.is_empty()
        && name.len() <= LONGEST
        && !matches!(name, "." | "..")
        && name
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-'));
    if is_name {
        return Ok(name.to_owned());
    }
    Err(DeliveryError::Usage(format!(
        "'{remote}': the name of a topic stands behind the hosts: letters, digits, '.', '_' and '-', at most {LONGEST} of them"
    )))
}

/// The client's settings.
///
/// # Errors
/// Something in the URL is not right, or a file cannot be read.
pub(super) fn config(remote: &Remote) -> Result<ClientConfig, DeliveryError> {
    let wrong = |what: &str| DeliveryError::Usage(format!("'{remote}': {what}"));
    let mut config = ClientConfig::new();
    for (name, value) in ALWAYS {
        config.set(name, value);
    }
    config.set("bootstrap.servers", remote.hosts());
    let compression = remote.option("compression").unwrap_or("lz4");
    if !matches!(compression, "none" | "gzip" | "snappy" | "lz4" | "zstd") {
        return Err(wrong("compression is none, gzip, snappy, lz4 or zstd"));
    }
    config.set("compression.type", compression);

    match remote.option("security") {
        None | Some("none" | "tls") => {}
        Some(_) => return Err(wrong("security is none or tls")),
    }
    let files = [
        ("ca", "ssl.ca.pem", "the certificates"),
        ("certificate_file", "ssl.certificate.pem", "the certificate"),
        ("certificate_key_file", "ssl.key.pem", "the key"),
    ];
    for (option, setting, what) in files {
        let Some(path) = remote.option(option) else {
            continue;
        };
        if !remote.tls {
            return Err(wrong(&format!("{option} is for ?security=tls")));
        }
        config.set(setting, pem(Path::new(path), what)?);
    }
    if remote.option("certificate_file").is_some()
        != remote.option("certificate_key_file").is_some()
    {
        return Err(wrong(
            "certificate_file and certificate_key_file belong together",
        ));
    }

    let mechanism = match remote.option("sasl") {
        None => None,
        Some("plain") => Some("PLAIN"),
        Some("scram-sha-256") => Some("SCRAM-SHA-256"),
        Some("scram-sha-512") => Some("SCRAM-SHA-512"),
        Some(_) => return Err(wrong("sasl is plain, scram-sha-256 or scram-sha-512")),
    };
    if let Some(mechanism) = mechanism {
        config.set("sasl.mechanism", mechanism);
        for (setting, option, variable) in [
            ("sasl.username", "user_file", "DNSTERRIER_KAFKA_USER"),
            (
                "sasl.password",
                "password_file",
                "DNSTERRIER_KAFKA_PASSWORD",
            ),
        ] {
            let value = secret::read(remote, option, variable)?.ok_or_else(|| {
                wrong(&format!(
                    "sasl needs user and password: put this one into the environment variable {variable}, or into a file that ?{option}=FILE names"
                ))
            })?;
            config.set(setting, value);
        }
    } else if remote.option("user_file").is_some() || remote.option("password_file").is_some() {
        return Err(wrong(
            "user and password are for ?sasl=plain, scram-sha-256 or scram-sha-512",
        ));
    }
    config.set(
        "security.protocol",
        match (mechanism.is_some(), remote.tls) {
            (false, false) => "plaintext",
            (false, true) => "ssl",
            (true, false) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        },
    );
    // What the library was built without is said now.
    config
        .create_native_config()
        .map_err(|error| wrong(&error.to_string()))?;
    Ok(config)
}

/// A file of certificates or with a key, read before root is given up.
fn pem(path: &Path, what: &'static str) -> Result<String, DeliveryError> {
    let failed = |reason: String| DeliveryError::File {
        path: path.to_owned(),
        what,
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    if text.contains("-----BEGIN ") {
        Ok(text)
    } else {
        Err(failed("there is none in it (PEM is expected)".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(url: &str) -> String {
        let remote = Remote::parse(url).unwrap();
        match topic(&remote).and_then(|_| config(&remote)) {
            Ok(_) => panic!("{url} was taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_a_url_says_is_what_the_client_gets() {
        let remote = Remote::parse("kafka://a,b:9094/dns.events-1?compression=zstd&security=tls");
        let remote = remote.unwrap();
        assert_eq!(topic(&remote).unwrap(), "dns.events-1");
        let config = config(&remote).unwrap();
        for (name, value) in [
            ("bootstrap.servers", "a:9092,b:9094"),
            ("compression.type", "zstd"),
            ("security.protocol", "ssl"),
            ("enable.idempotence", "true"),
            ("acks", "all"),
        ] {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (url, part) in [
            ("kafka://h", "name of a topic"),
            ("kafka://h/a/b", "name of a topic"),
            ("kafka://h/t?compression=rar", "gzip, snappy"),
            ("kafka://h/t?security=ssl", "none or tls"),
            ("kafka://h/t?sasl=gssapi", "scram-sha-512"),
            ("kafka://h/t?ca=/x", "ca is for ?security=tls"),
            ("kafka://h/t?user_file=/x", "for ?sasl="),
            ("kafka://h/t?security=tls&certificate_file=/dev/null", "PEM"),
        ] {
            let said = said(url);
            assert!(said.contains(part), "{said}");
        }
    }
}
