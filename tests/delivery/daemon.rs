//! rsyslog and syslog-ng, as `scripts/test` unpacks them: each reads what comes as RFC 5424 has it, and writes the parts down.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Whose daemon it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    Rsyslog,
    SyslogNg,
}

pub(crate) const MAKERS: [Maker; 2] = [Maker::Rsyslog, Maker::SyslogNg];

/// A daemon that listens for datagrams and connections on one port of the loopback interface.
pub(crate) struct Daemon {
    maker: Maker,
    pub(crate) port: u16,
    folder: TempDir,
    child: Option<Child>,
}

/// A message as a daemon read it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) priority: String,
    pub(crate) time: String,
    pub(crate) host: String,
    pub(crate) application: String,
    pub(crate) id: String,
    pub(crate) data: String,
    pub(crate) text: String,
}

/// A port that nobody has, neither for connections nor for datagrams.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Where a part of the unpacked packages is.
fn unpacked(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("syslog")
        .join(path);
    assert!(
        path.exists(),
        "{} is not there: scripts/test unpacks it",
        path.display()
    );
    path
}

impl Daemon {
    /// One that speaks TLS over its connections where it has an authority, a certificate and a key.
    pub(crate) fn start(maker: Maker, tls: Option<[&Path; 3]>) -> Self {
        Self::start_with(maker, tls, false)
    }

    /// The same, which asks who comes for a certificate of that authority.
    pub(crate) fn start_with(maker: Maker, tls: Option<[&Path; 3]>, asks: bool) -> Self {
        let mut daemon = Self {
            maker,
            port: free_port(),
            folder: TempDir::new().unwrap(),
            child: None,
        };
        let config = match maker {
            Maker::Rsyslog => daemon.rsyslog(tls, asks),
            Maker::SyslogNg => daemon.syslog_ng(tls, asks),
        };
        std::fs::write(daemon.path("config"), config).unwrap();
        daemon.start_again();
        daemon
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn url(&self, scheme: &str, options: &str) -> String {
        format!("{scheme}://127.0.0.1:{}{options}", self.port)
    }

    fn rsyslog(&self, tls: Option<[&Path; 3]>, asks: bool) -> String {
        let folder = self.folder.path().display();
        let port = self.port;
        let (mut files, mut driver) = (String::new(), String::new());
        if let Some([authority, certificate, key]) = tls {
            files = format!(
                "defaultNetstreamDriverCAFile=\"{}\" defaultNetstreamDriverCertFile=\"{}\" defaultNetstreamDriverKeyFile=\"{}\"",
                authority.display(),
                certificate.display(),
                key.display()
            );
            driver = format!(
                "streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"{}\"",
                if asks { "x509/certvalid" } else { "anon" }
            );
        }
        let properties: String = [
            ("priority", "pri", ""),
            ("time", "timereported", "dateFormat=\"rfc3339\""),
            ("host", "hostname", ""),
            ("application", "app-name", ""),
            ("id", "msgid", ""),
            ("data", "structured-data", ""),
            ("version", "protocol-version", ""),
            ("text", "msg", ""),
        ]
        .iter()
        .map(|(out, name, more)| {
            format!("property(outname=\"{out}\" name=\"{name}\" format=\"jsonf\" {more})\n")
        })
        .collect();
        format!(
            "global(workDirectory=\"{folder}\" maxMessageSize=\"128k\" {files})
module(load=\"imudp\")
module(load=\"imtcp\" {driver})
input(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\")
input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")
template(name=\"all\" type=\"list\" option.jsonf=\"on\") {{
{properties}}}
if $programname == 'dnsterrier' then action(type=\"omfile\" file=\"{folder}/messages\" template=\"all\")
"
        )
    }

    fn syslog_ng(&self, tls: Option<[&Path; 3]>, asks: bool) -> String {
        let (folder, port) = (self.folder.path().display(), self.port);
        let connections = match tls {
            None => "transport(\"tcp\")".to_owned(),
            Some([authority, certificate, key]) => format!(
                "transport(\"tls\") tls(ca-file(\"{}\") cert-file(\"{}\") key-file(\"{}\") peer-verify({}))",
                authority.display(),
                certificate.display(),
                key.display(),
                if asks {
                    "required-trusted"
                } else {
                    "optional-untrusted"
                }
            ),
        };
        format!(
            "@version: 3.38
options {{ keep-hostname(yes); log-msg-size(131072); time-zone(\"UTC\"); frac-digits(6); }};
source s {{
    syslog(ip(\"127.0.0.1\") port({port}) {connections});
    syslog(ip(\"127.0.0.1\") port({port}) transport(\"udp\"));
}};
destination d {{ file(\"{folder}/messages\" template(\"$(format-json priority=$PRI time=$S_ISODATE host=$HOST application=$PROGRAM id=$MSGID data=$SDATA version=1 text=$MSG)\\n\")); }};
filter f {{ program(\"dnsterrier\"); }};
log {{ source(s); filter(f); destination(d); }};
"
        )
    }

    pub(crate) fn start_again(&mut self) {
        let libraries = [
            unpacked(&format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH)),
            unpacked("usr/lib/syslog-ng"),
        ];
        let config = self.path("config");
        let mut command = match self.maker {
            Maker::Rsyslog => {
                let mut command = Command::new(unpacked("usr/sbin/rsyslogd"));
                command.args(["-n", "-i", "NONE", "-f"]).arg(&config);
                command.arg("-M").arg(libraries[0].join("rsyslog"));
                command
            }
            Maker::SyslogNg => {
                let mut command = Command::new(unpacked("usr/sbin/syslog-ng"));
                command.args(["-F", "--no-caps", "-f"]).arg(&config);
                command.arg("-R").arg(self.path("persist"));
                command.arg("-p").arg(self.path("pid"));
                command.arg("-c").arg(self.path("control"));
                command.arg(format!(
                    "--module-path={}",
                    unpacked("usr/lib/syslog-ng/3.38").display()
                ));
                command
            }
        };
        let log = std::fs::File::create(self.path("log")).unwrap();
        let child = command
            .env("LD_LIBRARY_PATH", std::env::join_paths(&libraries).unwrap())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!(
            "{:?} does not come up: {}",
            self.maker,
            std::fs::read_to_string(self.path("log")).unwrap()
        );
    }

    /// Has it do nothing any more, neither read nor end.
    pub(crate) fn freeze(&self) {
        let id = self.child.as_ref().unwrap().id().try_into().unwrap();
        let process = nix::unistd::Pid::from_raw(id);
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGSTOP).unwrap();
    }

    /// Ends it at once (SIGKILL).
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What it has written so far; a line that it was killed in is none.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let text = match std::fs::read_to_string(self.path("messages")) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => panic!("{error}"),
        };
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .map(|it| {
                let part = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
                assert_eq!(part("version"), "1", "no message of RFC 5424: {it}");
                Message {
                    priority: part("priority"),
                    time: part("time"),
                    host: part("host"),
                    application: part("application"),
                    id: part("id"),
                    data: part("data"),
                    text: part("text"),
                }
            })
            .collect()
    }

    /// Waits until it has written so many.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Message> {
        self.wait_for_those(count, |_| true)
    }

    /// Waits until it has written so many of a kind.
    pub(crate) fn wait_for_those(
        &self,
        count: usize,
        are: impl Fn(&Message) -> bool,
    ) -> Vec<Message> {
        let mut found = 0;
        for _ in 0..1_200 {
            let messages: Vec<Message> = self.messages().into_iter().filter(|it| are(it)).collect();
            if messages.len() >= count {
                return messages;
            }
            found = messages.len();
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("{:?}: {found} of {count} messages", self.maker);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
