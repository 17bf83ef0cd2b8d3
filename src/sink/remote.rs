//! A place in the network, as its URL names it. What the URL means beyond that is the module's that delivers.

use std::borrow::Cow;
use std::fmt;

use url::{Host, Url};

use super::{EventFormat, SinkError};

/// Who takes the records there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Splunk's HTTP Event Collector.
    Hec,
    /// A database of ClickHouse, over HTTP.
    ClickHouse,
    /// An index or data stream of Elasticsearch or OpenSearch.
    Elastic,
    /// A receiver of syslog that a connection leads to.
    Syslog,
    /// One of datagrams.
    SyslogUdp,
    /// A topic of a cluster of Kafka.
    Kafka,
}

/// What a kind of place is called, and what its URL may say.
struct Known {
    kind: Kind,
    scheme: &'static str,
    /// What a URL of it begins with, whether that is over TLS, and the port that it has where none is said.
    forms: &'static [(&'static str, bool, u16)],
    options: &'static [&'static str],
}

const HEC: Known = Known {
    kind: Kind::Hec,
    scheme: "hec",
    forms: &[("hec+https", true, 8088), ("hec+http", false, 8088)],
    options: &[
        "index",
        "source",
        "sourcetype",
        "ack",
        "timeout",
        "token_file",
        "ca",
    ],
};
const CLICKHOUSE: Known = Known {
    kind: Kind::ClickHouse,
    scheme: "clickhouse",
    forms: &[
        ("clickhouse+https", true, 8443),
        ("clickhouse+http", false, 8123),
    ],
    options: &["timeout", "user_file", "password_file", "ca"],
};
const KAFKA: Known = Known {
    kind: Kind::Kafka,
    scheme: "kafka",
    forms: &[("kafka", false, 9092)],
    options: &[
        "security",
        "sasl",
        "user_file",
        "password_file",
        "ca",
        "certificate_file",
        "certificate_key_file",
        "compression",
        "timeout",
    ],
};

const ELASTIC: Known = Known {
    kind: Kind::Elastic,
    scheme: "es",
    forms: &[("es+https", true, 9200), ("es+http", false, 9200)],
    options: &[
        "pipeline",
        "timeout",
        "user_file",
        "password_file",
        "api_key_file",
        "ca",
    ],
};

const SYSLOG: Known = Known {
    kind: Kind::Syslog,
    scheme: "syslog",
    forms: &[("syslog+tls", true, 6514), ("syslog+tcp", false, 514)],
    options: &[
        "format",
        "facility",
        "size",
        "confirm",
        "timeout",
        "ca",
        "certificate_file",
        "certificate_key_file",
    ],
};
const SYSLOG_UDP: Known = Known {
    kind: Kind::SyslogUdp,
    scheme: "syslog",
    forms: &[("syslog+udp", false, 514)],
    options: &["format", "facility", "size"],
};

/// All kinds of places.
const KNOWN: [&Known; 6] = [&HEC, &CLICKHOUSE, &ELASTIC, &KAFKA, &SYSLOG, &SYSLOG_UDP];

/// How places in the network are written.
const FORMS: &str = "hec+https://HOST[:8088] (Splunk's HTTP Event Collector), clickhouse+https://HOST[:8443]/DATABASE, es+https://HOST[:9200]/INDEX (Elasticsearch, OpenSearch), all of them also with +http, or kafka://HOST[:9092][,HOST...]/TOPIC, syslog+tls://HOST[:6514], syslog+tcp://HOST[:514], syslog+udp://HOST[:514]";

/// Words of a URL that hold a secret, or whom it belongs to.
const SECRETS: [&str; 6] = ["token", "password", "secret", "key", "user", "auth"];

impl Kind {
    const fn known(self) -> &'static Known {
        match self {
            Self::Hec => &HEC,
            Self::ClickHouse => &CLICKHOUSE,
            Self::Elastic => &ELASTIC,
            Self::Syslog => &SYSLOG,
            Self::SyslogUdp => &SYSLOG_UDP,
            Self::Kafka => &KAFKA,
        }
    }

    /// In whose words records are there where nothing is said.
    #[must_use]
    pub const fn words(self) -> EventFormat {
        match self {
            Self::Elastic => EventFormat::Ecs,
            Self::Hec | Self::ClickHouse | Self::Syslog | Self::SyslogUdp | Self::Kafka => {
                EventFormat::Cim
            }
        }
    }

    /// The word that a URL of it begins with.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        self.known().scheme
    }
}

/// A place in the network. It holds no secret, so that it can be shown and kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Remote {
    /// Who takes the records there.
    pub kind: Kind,
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// Its name or address; an IPv6 address in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The further ones of a cluster that are named.
    further: Vec<(String, u16)>,
    /// What stands behind the port, without the slashes at both ends.
    pub path: String,
    /// What stands behind the question mark.
    options: Vec<(String, String)>,
    text: String,
}

impl Remote {
    /// Reads a URL such as `hec+https://splunk.example:8088?index=dns`.
    ///
    /// # Errors
    /// A usage error: no such kind of place, a secret where everybody could read it, an option that the place does not have.
    pub fn parse(text: &str) -> Result<Self, SinkError> {
        let wrong = |what: &str| SinkError::Usage(format!("'{}': {what}", without_secrets(text)));
        let (first, further) = of_cluster(text);
        let url = Url::parse(&first).map_err(|error| wrong(&format!("not a URL: {error}")))?;
        let scheme = url.scheme();
        let (known, (_, tls, port)) = KNOWN
            .into_iter()
            .flat_map(|known| known.forms.iter().map(move |form| (known, *form)))
            .find(|(_, (form, ..))| *form == scheme)
            .ok_or_else(|| {
                wrong(&format!(
                    "'{scheme}://' is no place that records can be sent to: use {FORMS}, or a file name"
                ))
            })?;
        if further.iter().any(|one| one.contains('@'))
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(wrong(&in_the_open(known.kind)));
        }
        let host = host_of(&url).ok_or_else(|| wrong("it names no host"))?;
        let further = further.into_iter().map(|one| {
            let url = Url::parse(&format!("{scheme}://{one}")).ok()?;
            Some((host_of(&url)?, url.port().unwrap_or(port)))
        });
        let further = further
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| wrong("several hosts are written HOST[:PORT],HOST[:PORT] and so on"))?;
        if url.fragment().is_some() {
            return Err(wrong("nothing can stand behind a #"));
        }
        let mut options: Vec<(String, String)> = Vec::new();
        for (name, value) in url.query_pairs() {
            if SECRETS.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(wrong(&in_the_open(known.kind)));
            }
            if !known.options.contains(&&*name) {
                return Err(wrong(&format!(
                    "there is no option '{name}': it has {}",
                    known.options.join(", ")
                )));
            }
            if value.is_empty() {
                return Err(wrong(&format!("the option '{name}' has no value")));
            }
            if options.iter().any(|(other, _)| *other == name) {
                return Err(wrong(&format!("the option '{name}' is there twice")));
            }
            options.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self {
            kind: known.kind,
            tls: tls
                || options
                    .iter()
                    .any(|it| *it == ("security".to_owned(), "tls".to_owned())),
            host,
            further,
            port: url.port().unwrap_or(port),
            path: url.path().trim_matches('/').to_owned(),
            options,
            text: text.to_owned(),
        })
    }

    /// The value of an option.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// The hosts of a cluster: `a.example:9092,b.example:9092`.
    #[must_use]
    pub fn hosts(&self) -> String {
        let first = std::iter::once((&self.host, &self.port));
        let further = self.further.iter().map(|(host, port)| (host, port));
        let all: Vec<String> = first
            .chain(further)
            .map(|(host, port)| format!("{host}:{port}"))
            .collect();
        all.join(",")
    }

    /// Where it is, as HTTP has it: `https://splunk.example:8088`.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The URL of a cluster with its first host alone, and the further ones.
fn of_cluster(text: &str) -> (Cow<'_, str>, Vec<&str>) {
    let Some(rest) = text.strip_prefix("kafka://") else {
        return (Cow::Borrowed(text), Vec::new());
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (hosts, behind) = rest.split_at(end);
    let mut hosts = hosts.split(',');
    let first = hosts.next().unwrap_or_default();
    (
        Cow::Owned(format!("kafka://{first}{behind}")),
        hosts.collect(),
    )
}

/// The host of a URL in lower case; an IPv6 address in brackets.
fn host_of(url: &Url) -> Option<String> {
    match url.host()? {
        Host::Ipv6(address) => Some(format!("[{address}]")),
        host => Some(host.to_string().to_ascii_lowercase()).filter(|it| !it.is_empty()),
    }
}

/// Where a secret belongs, for a command line is read by everybody on the machine.
fn in_the_open(kind: Kind) -> String {
    match kind {
        Kind::ClickHouse => "who you are there, and the password, do not belong into a URL, which everybody on this machine can \
                             read: put them into the environment variables DNSTERRIER_CLICKHOUSE_USER and \
                             DNSTERRIER_CLICKHOUSE_PASSWORD, or into files that ?user_file=FILE&password_file=FILE name"
            .to_owned(),
        Kind::Syslog | Kind::SyslogUdp => "a secret does not belong into a URL, which everybody on this machine can read, and syslog asks for \
                                           none: over TLS it is a certificate that says who you are (?certificate_file=FILE&certificate_key_file=FILE)"
            .to_owned(),
        Kind::Elastic => "who you are there, and a password or key, do not belong into a URL, which everybody on this machine can \
                          read: put them into the environment variables DNSTERRIER_ES_USER and DNSTERRIER_ES_PASSWORD, or \
                          DNSTERRIER_ES_API_KEY, or into files that ?user_file=FILE&password_file=FILE or ?api_key_file=FILE name"
            .to_owned(),
        Kind::Kafka => "who you are there, and the password, do not belong into a URL, which everybody on this machine can \
                        read: put them into the environment variables DNSTERRIER_KAFKA_USER and DNSTERRIER_KAFKA_PASSWORD, or \
                        into files that ?user_file=FILE&password_file=FILE name, and say ?sasl=scram-sha-256 or the like"
            .to_owned(),
        Kind::Hec => "a secret does not belong into a URL, which everybody on this machine can read: put the token into the \
                      environment variable DNSTERRIER_HEC_TOKEN, or into a file that ?token_file=FILE names"
            .to_owned(),
    }
}

/// The URL as it may be repeated on a terminal and in logs.
fn without_secrets(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://...@{host}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match Remote::parse(text) {
            Ok(remote) => panic!("{text} was taken: {remote:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_a_url_says() {
        let remote = Remote::parse("hec+https://Splunk.example?index=dns&ack=true").unwrap();
        assert_eq!((remote.kind, remote.tls), (Kind::Hec, true));
        assert_eq!(remote.origin(), "https://splunk.example:8088");
        assert_eq!(remote.option("index"), Some("dns"));
        assert_eq!(remote.option("source"), None);
        let remote = Remote::parse("hec+http://[2001:db8::1]:8/services/collector/").unwrap();
        assert_eq!(remote.origin(), "http://[2001:db8::1]:8");
        assert_eq!(remote.path, "services/collector");
        let remote = Remote::parse("hec+http://h?source=a%20b").unwrap();
        assert_eq!(remote.option("source"), Some("a b"));
    }

    #[test]
    fn a_cluster_has_several_hosts() {
        let remote =
            Remote::parse("kafka://A.example,[2001:db8::1]:9,c:9094/dns?security=tls").unwrap();
        assert_eq!((remote.kind, remote.tls), (Kind::Kafka, true));
        assert_eq!(remote.hosts(), "a.example:9092,[2001:db8::1]:9,c:9094");
        assert_eq!((remote.host.as_str(), remote.port), ("a.example", 9092));
        assert_eq!(remote.path, "dns");
        let remote = Remote::parse("kafka://h/dns").unwrap();
        assert_eq!((remote.hosts().as_str(), remote.tls), ("h:9092", false));
    }

    #[test]
    fn a_secret_is_refused_and_not_repeated() {
        for text in [
            "hec+https://x:s3cret@splunk.example",
            "hec+https://s3cret@splunk.example",
            "hec+https://splunk.example?token=s3cret",
            "hec+https://splunk.example?Password=s3cret&index=a",
        ] {
            let said = refused(text);
            assert!(said.contains("DNSTERRIER_HEC_TOKEN"), "{said}");
            assert!(said.contains("splunk.example"), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn what_is_no_place() {
        for (text, part) in [
            ("kafka+http://h/topic", "kafka+http"),
            ("kafka://", "names no host"),
            ("kafka://a,,b/topic", "HOST[:PORT],HOST[:PORT]"),
            ("kafka://a,b:x/topic", "HOST[:PORT],HOST[:PORT]"),
            ("kafka://u:p@h/topic", "DNSTERRIER_KAFKA_USER"),
            ("kafka://a,u:p@h/topic", "DNSTERRIER_KAFKA_USER"),
            ("kafka://h/topic?index=a", "it has security,"),
            ("clickhouse+http://u@h/db", "DNSTERRIER_CLICKHOUSE_USER"),
            ("https://h", "hec+https://HOST"),
            ("hec://h", "hec+https://HOST"),
            ("hec+https://", "names no host"),
            ("hec+https://h:99999", "not a URL"),
            ("hec+https://h?indx=a", "no option 'indx': it has index,"),
            ("hec+https://h?index=", "has no value"),
            ("hec+https://h?index=a&index=b", "twice"),
            ("hec+https://h#a", "#"),
        ] {
            let said = refused(text);
            assert!(said.contains(part), "{said}");
        }
    }
}
