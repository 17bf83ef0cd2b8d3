//! Networks to test on, built by `scripts/lib/lab.sh`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::common::{PROGRAM, file};
use crate::running::Running;

/// A network that is there until it is dropped. A shell holds it and takes it down when its standard input ends, so that
/// it goes away also when the test is killed.
pub(crate) struct Lab {
    shell: Child,
    name: String,
    folder: tempfile::TempDir,
    program: PathBuf,
}

/// Whether live tests run here: not where somebody left them out. Without root they fail, they do not pass unseen.
fn wanted() -> bool {
    if std::env::var_os("DNSTERRIER_NO_LIVE").is_some_and(|value| value == "1") {
        eprintln!(
            "\n*** LIVE TEST LEFT OUT, because DNSTERRIER_NO_LIVE=1: nothing is known of live capture ***\n"
        );
        return false;
    }
    assert!(
        nix::unistd::geteuid().is_root(),
        "live tests need root: run scripts/test, which goes through sudo, or leave them out with DNSTERRIER_NO_LIVE=1"
    );
    true
}

impl Lab {
    /// Client `c` and resolver `d` with two cables; see `pair_up` in `scripts/lib/lab.sh`. `None` where live tests are
    /// left out.
    pub(crate) fn pair() -> Option<Self> {
        wanted().then(|| Self::up("pair_up"))
    }

    /// The same, where the resolver answers over TLS too, and 8.8.8.8 over TLS and HTTPS; see `hidden_pair_up`.
    pub(crate) fn hidden_pair() -> Option<Self> {
        wanted().then(|| Self::up("hidden_pair_up"))
    }

    /// The same as [`pair`](Self::pair) with a resolver that sends dnstap to [`tap`](Self::tap), and the configuration of another;
    /// see `tapped_pair_up`.
    pub(crate) fn tapped_pair() -> Option<Self> {
        wanted().then(|| Self::up("tapped_pair_up"))
    }

    /// The whole network of the captures, with a mirrored port.
    pub(crate) fn whole() -> Option<Self> {
        wanted().then(|| Self::up("lab_up"))
    }

    /// Where the resolvers of [`tapped_pair`](Self::tapped_pair) send dnstap to.
    pub(crate) fn tap(&self) -> String {
        format!("unix:{}", self.place("tap.sock"))
    }

    fn up(function: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        mode(folder.path(), 0o755);
        let script = format!(
            "set -euo pipefail; . scripts/lib/lab.sh; {function} >&2; echo \"$LAB\"; read -r _ || true"
        );
        let mut shell = Command::new("bash")
            .args(["-c", &script, "lab"])
            .env("LAB_TAP", folder.path().join("tap.sock"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut name = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut name)
            .unwrap();
        assert!(
            name.ends_with('\n'),
            "the network could not be built; what the shell said is above"
        );
        // Other users cannot reach the program where it was built.
        let program = folder.path().join("dnsterrier");
        std::fs::copy(PROGRAM, &program).unwrap();
        mode(&program, 0o755);
        Self {
            shell,
            name: name.trim_end().to_owned(),
            folder,
            program,
        }
    }

    /// A folder of this network's own, which other users can read.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A place in it, as text.
    pub(crate) fn place(&self, name: &str) -> String {
        self.folder().join(name).to_str().unwrap().to_owned()
    }

    /// The program, where every user can run it.
    pub(crate) fn program(&self) -> &str {
        self.program.to_str().unwrap()
    }

    /// A command on a host. `ip netns exec` becomes the command, so the process id is the command's.
    pub(crate) fn on(&self, host: &str, command: &[&str]) -> Command {
        let mut on = Command::new("ip");
        on.args(["netns", "exec", &format!("{}-{host}", self.name)])
            .args(command)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null());
        on
    }

    /// Runs a command on a host, which has to go well.
    pub(crate) fn run(&self, host: &str, command: &[&str]) -> String {
        let output = self.output(host, command);
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command on a host, whatever comes of it.
    pub(crate) fn output(&self, host: &str, command: &[&str]) -> Output {
        self.on(host, command).output().unwrap()
    }

    /// Asks with dig and waits for the answer.
    pub(crate) fn dig(&self, host: &str, arguments: &[&str]) {
        self.run(host, &[&["dig", "+noall"], arguments].concat());
    }

    /// Asks for many names, one after the other, in one go; a question is what one writes behind `dig`.
    pub(crate) fn dig_all(&self, host: &str, questions: impl IntoIterator<Item = String>) {
        let list: Vec<String> = questions.into_iter().collect();
        let path = self.place("questions");
        std::fs::write(&path, list.join("\n")).unwrap();
        self.run(
            host,
            &["dig", "-4", "+noall", "+tries=1", "+timeout=2", "-f", &path],
        );
    }

    /// Starts the program on a host and waits until it listens.
    pub(crate) fn listen(&self, host: &str, arguments: &[&str]) -> Running {
        let running = Running::start(self.on(host, &[&[self.program()], arguments].concat()));
        running.wait_for_err("listening on");
        running
    }

    /// What tcpdump writes to a file of an interface, each packet at once.
    pub(crate) fn tcpdump(&self, host: &str, interface: &str, capture: &str) -> Running {
        let words = "tcpdump -Z root -n -U --immediate-mode --time-stamp-precision=nano";
        let mut command: Vec<&str> = words.split(' ').collect();
        command.extend(["-i", interface, "-w", capture]);
        let running = Running::start(self.on(host, &command));
        running.wait_for_err("listening on");
        running
    }

    /// Runs the program on a host to its end.
    pub(crate) fn dnsterrier(&self, host: &str, arguments: &[&str]) -> Output {
        self.output(host, &[&[self.program()], arguments].concat())
    }
}

/// Who may do what with a file, in the words of chmod.
fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A capture of the repository, as text.
pub(crate) fn capture(name: &str) -> String {
    file("captures").join(name).to_str().unwrap().to_owned()
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().ok();
    }
}
