//! A program that runs, what it has written so far, and its end.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for anything that is going to happen, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came out of a pipe so far, and whether it has ended.
#[derive(Default)]
struct Heard {
    text: Mutex<(String, bool)>,
    more: Condvar,
}

impl Heard {
    fn listen(mut pipe: impl Read + Send + 'static) -> Arc<Self> {
        let heard = Arc::new(Self::default());
        let here = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                let count = pipe.read(&mut bytes).unwrap_or(0);
                let mut text = here.text.lock().unwrap();
                text.0.push_str(&String::from_utf8_lossy(&bytes[..count]));
                text.1 = count == 0;
                here.more.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        heard
    }

    /// Waits until `enough` says so of the text and of whether it has ended; gives the text, and whether it was enough.
    fn wait(&self, at_most: Duration, enough: impl Fn(&str, bool) -> bool) -> (String, bool) {
        let (text, _) = self
            .more
            .wait_timeout_while(self.text.lock().unwrap(), at_most, |(text, over)| {
                !enough(text, *over) && !*over
            })
            .unwrap();
        (text.0.clone(), enough(&text.0, text.1))
    }
}

/// A program that runs; killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    out: Arc<Heard>,
    err: Arc<Heard>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            out: Heard::listen(child.stdout.take().unwrap()),
            err: Heard::listen(child.stderr.take().unwrap()),
            child,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What is written to its standard input, where that was piped.
    pub(crate) fn stdin(&mut self) -> &mut std::process::ChildStdin {
        self.child.stdin.as_mut().unwrap()
    }

    /// Waits until standard error holds the words.
    pub(crate) fn wait_for_err(&self, words: &str) -> String {
        self.wait(
            "standard error",
            &self.err,
            |text| text.contains(words),
            words,
        )
    }

    /// Waits until standard output holds the words.
    pub(crate) fn wait_for_out(&self, words: &str) -> String {
        self.wait(
            "standard output",
            &self.out,
            |text| text.contains(words),
            words,
        )
    }

    /// Whether standard output holds the words by now.
    pub(crate) fn has_out(&self, words: &str) -> bool {
        self.out.text.lock().unwrap().0.contains(words)
    }

    /// How often standard error holds the words by now.
    pub(crate) fn said(&self, words: &str) -> usize {
        self.err.text.lock().unwrap().0.matches(words).count()
    }

    fn wait(&self, pipe: &str, heard: &Heard, enough: impl Fn(&str) -> bool, what: &str) -> String {
        let (text, is_enough) = heard.wait(PATIENCE, |text, _| enough(text));
        assert!(
            is_enough,
            "waited in vain for {what:?} on {pipe}: {text:?}; standard error: {:?}",
            self.err.text.lock().unwrap().0
        );
        text
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = Pid::from_raw(i32::try_from(self.id()).unwrap());
        kill(id, format!("SIG{signal}").parse::<Signal>().unwrap()).unwrap();
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end_by(self, signal: &str) -> Ended {
        self.signal(signal);
        self.end()
    }

    /// Waits for the end.
    pub(crate) fn end(self) -> Ended {
        self.end_within(PATIENCE)
    }

    /// Waits for the end, but not longer than so long.
    pub(crate) fn end_within(mut self, at_most: Duration) -> Ended {
        // The pipes end when the process does.
        let (err, ended) = self.err.wait(at_most, |_, over| over);
        assert!(ended, "still there after {at_most:?}; it has said: {err}");
        let (out, _) = self.out.wait(PATIENCE, |_, over| over);
        let status = self.child.wait().unwrap();
        Ended { status, out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Ended {
    /// The exit status has to be this one.
    #[track_caller]
    pub(crate) fn with_status(self, status: i32) -> Self {
        assert_eq!(self.status.code(), Some(status), "{self:#?}");
        self
    }
}

/// Waits for a condition that nobody announces, on a file or a process.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited in vain for {what}");
}

/// Waits until tcpdump has written the query for `the-last-one.example.com` and its response, the last that matter: it throws
/// away what it has not read when it ends.
pub(crate) fn wait_for_last_lookup(capture: &str) {
    wait_until("tcpdump to write the last response", || {
        let bytes = std::fs::read(capture).unwrap_or_default();
        let name = b"\x0cthe-last-one\x07example\x03com";
        bytes
            .windows(name.len())
            .filter(|here| here == name)
            .count()
            == 2
    });
}
