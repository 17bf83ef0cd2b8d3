//! The command line, and nothing but the command line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};

/// Watches DNS on the wire and names the hosts whose lookups give them away.
#[derive(Debug, Parser)]
#[command(
    name = "dnsterrier",
    version,
    about,
    max_term_width = 100,
    after_help = "Without a command, dnsterrier takes what tcpdump takes: `dnsterrier FILE...`, `dnsterrier -r FILE`, \
                  `dnsterrier -i INTERFACE [FILTER]`.\n\
                  Exit status: 0 done, 1 could not finish, 2 usage, 3 a rule is wrong, 4 rows with --fail-on-hit."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch live interfaces, and what resolvers send by dnstap, until Ctrl-C
    Sniff(Box<Sniff>),
    /// Read capture files, or look back over the events in ClickHouse
    Replay(Box<Replay>),
    /// Show what can be sniffed, and what permission is missing
    Interfaces,
    /// List, show and check rules
    Rules(RulesArgs),
    /// Show and send what waits for places in the network
    Spool(SpoolArgs),
    /// Print or make the tables of ClickHouse
    #[command(name = "clickhouse")]
    ClickHouse(ClickHouseArgs),
    /// What the sensors sent to ClickHouse together
    Fleet(FleetArgs),
}

/// `sniff`.
#[derive(Debug, Args)]
pub struct Sniff {
    /// Interface to watch; may be given several times (`any` for all)
    #[arg(
        short,
        long = "interface",
        value_name = "INTERFACE",
        required_unless_present = "dnstap"
    )]
    pub interfaces: Vec<String>,
    /// Take dnstap from resolvers that connect here: unix:PATH or tcp:ADDRESS:PORT; may be given several times
    #[arg(long, value_name = "SOCKET")]
    pub dnstap: Vec<String>,
    /// Filter in libpcap's language; none by default, because tunnels hide the ports
    #[arg(short, long, value_name = "BPF", conflicts_with = "expression")]
    pub filter: Option<String>,
    /// The same as --filter, as tcpdump takes it
    #[arg(value_name = "FILTER")]
    pub expression: Vec<String>,
    /// Bytes kept of each packet
    #[arg(short, long, value_name = "BYTES", default_value_t = 262_144)]
    pub snaplen: u32,
    /// The kernel's buffer for each interface, in KiB
    #[arg(short = 'B', long, value_name = "KIB", default_value_t = 65_536)]
    pub buffer_size: u32,
    /// Do not put the interface into promiscuous mode
    #[arg(short = 'p', long)]
    pub no_promiscuous_mode: bool,
    /// End after so long (30s, 10m, 1h)
    #[arg(long, value_name = "SPAN")]
    pub duration: Option<String>,
    /// Become this user after opening [default: the user behind sudo]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Begin a new file once one has so many bytes (100M, 1G); the old one is named after the time
    #[arg(long, value_name = "SIZE", help_heading = "Output")]
    pub rotate_size: Option<String>,
    /// Begin new files so often (1h, 24h), counted from midnight UTC
    #[arg(long, value_name = "SPAN", help_heading = "Output")]
    pub rotate_every: Option<String>,
    /// What both commands take.
    #[command(flatten)]
    pub common: Common,
}

/// `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// pcap, pcapng, dnstap (also compressed), folders of them, or - for standard input; or clickhouse+http://HOST/DATABASE, whose
    /// events are looked back over
    #[arg(value_name = "FILE", required_unless_present = "read")]
    pub files: Vec<PathBuf>,
    /// The same; what follows is then a filter, as tcpdump takes it
    #[arg(short = 'r', long, value_name = "FILE")]
    pub read: Vec<PathBuf>,
    /// Filter in libpcap's language
    #[arg(short, long, value_name = "BPF")]
    pub filter: Option<String>,
    /// What both commands take.
    #[command(flatten)]
    pub common: Common,
}

impl Replay {
    /// What the command line has where it says nothing but `replay -`.
    ///
    /// # Errors
    /// The command line is not as it is written here: a bug, which a test would find.
    pub fn plain() -> Result<Self, clap::Error> {
        let cli = Cli::try_parse_from(["dnsterrier", "replay", "-"])?;
        match cli.command {
            Command::Replay(replay) => Ok(*replay),
            _ => Err(Cli::command().error(ErrorKind::InvalidSubcommand, "replay is none")),
        }
    }
}

/// What `sniff` and `replay` both take.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Aggregates: none, -, a file (.jsonl .csv .tsv .txt, also with .gz .zst) or a URL (hec+https://HOST, es+https://HOST/INDEX, kafka://HOST/TOPIC, syslog+tls://HOST, ...) [default: -]
    #[arg(long, value_name = "PLACE", help_heading = "Output")]
    pub rows: Vec<String>,
    /// Events that matched a rule, as they happen
    #[arg(long, value_name = "PLACE", help_heading = "Output")]
    pub hits: Vec<String>,
    /// Every transaction; like hits and sources also to NAME.parquet, a folder of Parquet files
    #[arg(long, value_name = "PLACE", help_heading = "Output")]
    pub events: Vec<String>,
    /// One record per source address that had hits, or of which encrypted DNS was seen
    #[arg(long, value_name = "PLACE", help_heading = "Output")]
    pub sources: Vec<String>,
    /// Risk events: what the rows of a window say of a host, with a score and a message
    #[arg(long, value_name = "PLACE", help_heading = "Output")]
    pub risk: Vec<String>,
    /// Whose words events are written in: cim, ecs (hits, too; for es+https:// the default), ocsf (risk events, too), zeek, zeek-json, eve, dnstap
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "cim",
        help_heading = "Output"
    )]
    pub event_format: String,
    /// Format of rows on standard output: table, jsonl, csv, tsv
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        help_heading = "Output"
    )]
    pub format: String,
    /// Write the packets of what hit to this file (.pcapng), with a comment that names rule and row
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub evidence: Option<PathBuf>,
    /// Write all packets with DNS to this file (.pcapng or .pcap), as they were captured
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub write: Option<PathBuf>,
    /// Write all counters to this file as JSON at the end, and on SIGUSR1
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub stats: Option<PathBuf>,
    /// Serve the counters to Prometheus at http://ADDRESS:PORT/metrics, and /healthz; 127.0.0.1:9153 for this host alone
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Output")]
    pub metrics: Option<String>,
    /// Write the ATT&CK techniques of the hits to this file, as a layer for ATT&CK Navigator
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub navigator: Option<PathBuf>,
    /// Times in tables as the rule's %Y-%m-%dT%H:%M:%S in local time
    #[arg(long, help_heading = "Output")]
    pub local_time: bool,
    /// Silence everything but the streams and errors
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
    /// Say more: all counters
    #[arg(short, long, help_heading = "Output", conflicts_with = "quiet")]
    pub verbose: bool,
    /// Exit with status 4 when there were rows
    #[arg(long, help_heading = "Output")]
    pub fail_on_hit: bool,

    /// Where what cannot be sent yet waits.
    #[command(flatten)]
    pub spool: SpoolOptions,

    /// Rule file or folder, added to the embedded rules
    #[arg(long = "rules", value_name = "PATH", help_heading = "Rules")]
    pub rule_paths: Vec<PathBuf>,
    /// Run only the rules of this name or id; may be given several times
    #[arg(long = "rule", value_name = "NAME", help_heading = "Rules")]
    pub rule_names: Vec<String>,
    /// Leave the embedded rules out
    #[arg(long, help_heading = "Rules")]
    pub no_embedded: bool,
    /// File or folder of filters: your own exceptions of rules, each with owner, reason and date of expiry
    #[arg(long = "filters", value_name = "PATH", help_heading = "Rules")]
    pub filter_paths: Vec<PathBuf>,
    /// Hunt for this name and all below it, or for a pattern with *, without a rule file
    #[arg(long = "name", value_name = "PATTERN", help_heading = "Rules")]
    pub names: Vec<String>,
    /// Hunt for the names in this file, one a line
    #[arg(long = "names", value_name = "FILE", help_heading = "Rules")]
    pub name_files: Vec<PathBuf>,
    /// Windows of the rows: none, a span such as 1h, or schedule for the rule's own [default: none; sniff: 1h]
    #[arg(long, value_name = "WINDOW", help_heading = "Rules")]
    pub window: Option<String>,

    /// Only events at or after this time (RFC 3339, a date, or seconds since 1970)
    #[arg(long, value_name = "TIME", help_heading = "Selection")]
    pub since: Option<String>,
    /// Only events before this time
    #[arg(long, value_name = "TIME", help_heading = "Selection")]
    pub until: Option<String>,
    /// Threads that share the messages by their clients, 64 at most; sniff: as many captures share the packets, too [default:
    /// replay with --events: one for each core but one, 8 at most; else 1]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Selection")]
    pub workers: Option<u16>,
    /// End after so many packets
    #[arg(short, long, value_name = "PACKETS", help_heading = "Selection")]
    pub count: Option<u64>,
    /// Ports on which DNS is looked for
    #[arg(
        long,
        value_name = "PORTS",
        value_delimiter = ',',
        default_value = "53,5353,5355",
        value_parser = clap::value_parser!(u16).range(1..),
        help_heading = "Selection"
    )]
    pub ports: Vec<u16>,
    /// Look for DNS on all other ports, too, and take what is DNS beyond doubt by its shape (anomaly other_port)
    #[arg(long, help_heading = "Selection")]
    pub any_port: bool,
    /// Further UDP ports on which VXLAN is looked for, beside 4789 and 8472
    #[arg(
        long,
        value_name = "PORTS",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..),
        help_heading = "Selection"
    )]
    pub vxlan_ports: Vec<u16>,
    /// Encapsulations (tunnels) taken off one packet at most; a packet in more of them is counted as too_deep
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 8,
        help_heading = "Selection"
    )]
    pub tunnel_depth: u8,
    /// Resolvers known to answer over HTTPS, instead of the built-in list (rules/doh-resolvers.txt has the form)
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    pub doh_resolvers: Option<PathBuf>,
    /// A query without a response for so long is unanswered
    #[arg(
        long,
        value_name = "SPAN",
        default_value = "5s",
        help_heading = "Selection"
    )]
    pub timeout: String,

    /// The sensor's name in every record [default: this host's name]
    #[arg(long, value_name = "NAME", help_heading = "Events")]
    pub sensor: Option<String>,
    /// The field cim_entity_zone of every event
    #[arg(long, value_name = "NAME", help_heading = "Events")]
    pub cim_entity_zone: Option<String>,
    /// What is known of addresses, as Splunk Enterprise Security's asset list (CSV): src_bunit, src_category, src_priority, dest_...
    #[arg(long, value_name = "FILE", help_heading = "Events")]
    pub assets: Option<PathBuf>,
    /// Answers in this network mean that the name was blocked, beside 0.0.0.0 and ::
    #[arg(long = "sinkhole", value_name = "CIDR", help_heading = "Events")]
    pub sinkholes: Vec<String>,
    /// These addresses are resolvers: who looks something up hides behind them (learnt from the wire where it shows)
    #[arg(
        long,
        value_name = "CIDR",
        value_delimiter = ',',
        help_heading = "Events"
    )]
    pub resolvers: Vec<String>,
    /// Many hosts share these addresses (NAT, proxies)
    #[arg(
        long,
        value_name = "CIDR",
        value_delimiter = ',',
        help_heading = "Events"
    )]
    pub nat: Vec<String>,
}

/// Where spools are.
#[derive(Clone, Debug, Args)]
pub struct SpoolOptions {
    /// Folder for what waits for places in the network [default: /var/lib/dnsterrier/spool; of a user: ~/.local/state/dnsterrier/spool]
    #[arg(long, value_name = "DIR", help_heading = "Delivery")]
    pub spool: Option<PathBuf>,
    /// Size of the spool of one stream to one place at most, in MiB; the oldest records give way, and are counted
    #[arg(long, value_name = "MIB", default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(1..1 << 20), help_heading = "Delivery")]
    pub spool_size: u64,
    /// Wait so long at the end until all is delivered [default: 60s; sniff: 5s]
    #[arg(long, value_name = "SPAN", help_heading = "Delivery")]
    pub deliver_timeout: Option<String>,
}

/// `spool`.
#[derive(Debug, Args)]
pub struct SpoolArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SpoolCommand,
}

/// The commands of `spool`.
#[derive(Debug, Subcommand)]
pub enum SpoolCommand {
    /// List what waits: for which place, how much, and what was refused
    List {
        /// Where it is.
        #[command(flatten)]
        spool: SpoolOptions,
    },
    /// Send what waits
    Flush {
        /// Where it is.
        #[command(flatten)]
        spool: SpoolOptions,
    },
}

/// `fleet`.
#[derive(Debug, Args)]
pub struct FleetArgs {
    /// What to show.
    #[command(subcommand)]
    pub command: FleetCommand,
}

/// The commands of `fleet`.
#[derive(Debug, Subcommand)]
pub enum FleetCommand {
    /// Print the rows of all sensors, added up as if one had seen everything
    Rows(FleetRows),
    /// Print the sources that all sensors saw, added up
    Sources {
        /// The database: clickhouse+http://HOST:8123/DATABASE
        #[arg(value_name = "URL")]
        url: String,
        /// table, jsonl, csv, tsv
        #[arg(long, value_name = "FORMAT", default_value = "table")]
        format: String,
        /// Times in tables in local time
        #[arg(long)]
        local_time: bool,
    },
    /// List the sensors: when each reported last, what it saw and what was dropped before it saw it
    Sensors {
        /// The database: clickhouse+http://HOST:8123/DATABASE
        #[arg(value_name = "URL")]
        url: String,
        /// table or jsonl
        #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "jsonl"])]
        format: String,
    },
}

/// `fleet rows`.
#[derive(Debug, Args)]
pub struct FleetRows {
    /// The database: clickhouse+http://HOST:8123/DATABASE
    #[arg(value_name = "URL")]
    pub url: String,
    /// Only the rows of the rules of this name or id; may be given several times
    #[arg(long = "rule", value_name = "NAME")]
    pub rules: Vec<String>,
    /// Rule file or folder that the sensors have, too, beside the embedded rules
    #[arg(long = "rules", value_name = "PATH")]
    pub rule_paths: Vec<PathBuf>,
    /// Leave the embedded rules out
    #[arg(long)]
    pub no_embedded: bool,
    /// Only rows with lookups at or after this time (RFC 3339, a date, or seconds since 1970)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only rows with lookups before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// table, jsonl, csv, tsv
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: String,
    /// Times in tables as the rule's %Y-%m-%dT%H:%M:%S in local time
    #[arg(long)]
    pub local_time: bool,
}

/// `clickhouse`.
#[derive(Debug, Args)]
pub struct ClickHouseArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ClickHouseCommand,
}

/// The commands of `clickhouse`.
#[derive(Debug, Subcommand)]
pub enum ClickHouseCommand {
    /// Print the statements that make the tables, or carry them out
    Schema {
        /// Carry them out on this server (clickhouse+http://HOST:8123/DATABASE); where it stands in a cluster, on each
        #[arg(long, value_name = "URL")]
        apply: Option<String>,
        /// For a cluster of this name, whose nodes share the records
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        /// The database; --apply names its own
        #[arg(long, value_name = "NAME", default_value = "dns")]
        database: String,
        /// For servers before version 21; --apply asks the server
        #[arg(long)]
        plain: bool,
    },
}

/// `rules`.
#[derive(Debug, Args)]
pub struct RulesArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: RulesCommand,
}

/// The commands of `rules`.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// List the rules: what is on and why, and where each comes from
    List {
        /// As if the run were for the rules of this name or id only
        #[arg(long = "rule", value_name = "NAME")]
        names: Vec<String>,
        /// Rule file or folder, added to the embedded rules
        #[arg(long = "rules", value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Leave the embedded rules out
        #[arg(long)]
        no_embedded: bool,
        /// How many hits each had in the run that wrote this file with its --stats
        #[arg(long, value_name = "FILE")]
        stats: Option<PathBuf>,
    },
    /// Print a rule as it was read
    Show {
        /// Its name or id
        name: String,
        /// Rule file or folder, added to the embedded rules
        #[arg(long = "rules", value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Run rules over the captures of their tests, and say which give other rows than they must
    Test {
        /// Rule files or folders [default: the embedded rules]
        #[arg(value_name = "FILE")]
        paths: Vec<PathBuf>,
    },
    /// Check rule files: every mistake with its file, line and column
    Check {
        /// Rule files or folders
        #[arg(required = true, value_name = "FILE")]
        paths: Vec<PathBuf>,
    },
    /// Print the rules that files of others become (Splunk's detections, Sigma's rules), as YAML to keep and to change
    Import {
        /// Rule files or folders
        #[arg(required = true, value_name = "FILE")]
        paths: Vec<PathBuf>,
    },
}

/// The words that begin a command line of ours; without one it is tcpdump's.
const COMMANDS: [&str; 12] = [
    "sniff",
    "replay",
    "interfaces",
    "rules",
    "spool",
    "clickhouse",
    "fleet",
    "help",
    "-h",
    "--help",
    "-V",
    "--version",
];

/// Puts the command in front that `dnsterrier FILE...`, `-r FILE` and `-i INTERFACE` mean.
///
/// # Errors
/// The first word is no command, but nearly one, and no file.
pub fn with_command(mut arguments: Vec<OsString>) -> Result<Vec<OsString>, clap::Error> {
    let Some(first) = arguments.get(1) else {
        return Ok(arguments);
    };
    if COMMANDS.iter().any(|command| first == command) {
        return Ok(arguments);
    }
    if let Some(meant) = misspelt(first).filter(|_| !Path::new(first).exists()) {
        return Err(Cli::command().error(
            ErrorKind::InvalidSubcommand,
            format!(
                "'{}' is neither a command nor a file; did you mean '{meant}'?",
                first.display()
            ),
        ));
    }
    let is_interface = |argument: &OsString| {
        argument.to_str().is_some_and(|text| {
            text.starts_with("--interface")
                || text.starts_with("--dnstap")
                || (text.starts_with("-i") && !text.starts_with("--"))
        })
    };
    let command = if arguments.iter().skip(1).any(is_interface) {
        "sniff"
    } else {
        "replay"
    };
    arguments.insert(1, command.into());
    Ok(arguments)
}

/// The command that a word is nearly. A name with a dot or a slash is a file's.
fn misspelt(word: &OsString) -> Option<String> {
    let is_word = word
        .to_str()
        .is_some_and(|word| word.chars().all(char::is_alphabetic));
    let error = is_word
        .then(|| Cli::command().try_get_matches_from([OsStr::new("dnsterrier"), word]))?
        .err()?;
    let meant = match error.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::String(meant) => Some(meant),
        ContextValue::Strings(meant) => meant.first(),
        _ => None,
    };
    // Who misspells a command gets its first letter right; `port` begins a filter and is no `spool`.
    let begins = |meant: &&String| meant.bytes().next() == word.as_encoded_bytes().first().copied();
    meant.filter(begins).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_tcpdump_users_type() {
        let command = |line: &str| {
            let words = line.split(' ').map(OsString::from).collect();
            with_command(words)
                .unwrap()
                .get(1)
                .and_then(|word| word.to_str().map(str::to_owned))
        };
        assert_eq!(command("dnsterrier a.pcap").as_deref(), Some("replay"));
        assert_eq!(command("dnsterrier -r a.pcap").as_deref(), Some("replay"));
        assert_eq!(
            command("dnsterrier -q -i eth0 udp port 53").as_deref(),
            Some("sniff")
        );
        assert_eq!(command("dnsterrier -ieth0").as_deref(), Some("sniff"));
        assert_eq!(
            command("dnsterrier --dnstap unix:/run/dnstap.sock").as_deref(),
            Some("sniff")
        );
        assert_eq!(
            command("dnsterrier replay a.pcap").as_deref(),
            Some("replay")
        );
        assert_eq!(command("dnsterrier --help").as_deref(), Some("--help"));
        assert_eq!(command("dnsterrier"), None);
    }

    #[test]
    fn misspelt_commands() {
        for (word, meant) in [
            ("reply", "replay"),
            ("repaly", "replay"),
            ("snif", "sniff"),
            ("sniffer", "sniff"),
            ("interface", "interfaces"),
            ("intefaces", "interfaces"),
            ("rule", "rules"),
            ("spol", "spool"),
        ] {
            assert_eq!(misspelt(&word.into()).as_deref(), Some(meant), "{word}");
        }
        // Files, options, and what a filter can begin with: `dnsterrier udp -i eth0`.
        for word in "a.pcap rules.pcap ./rule -r - capture dump host net port portrange src dst ip tcp udp icmp ether \
                     vlan mpls geneve vxlan not less greater inbound outbound gateway proto broadcast multicast arp \
                     ifname sctp wlan len link pppoes"
            .split_whitespace()
        {
            assert_eq!(misspelt(&word.into()), None, "{word}");
        }
    }
}
