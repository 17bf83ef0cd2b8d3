//! Places in the network: checked, and their spools made ready, before root is given up; opened after it.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

use super::span;
use crate::cli::SpoolOptions;
use crate::delivery::{Deliveries, DeliveryError, Options, Target};
use crate::error::Error;
use crate::privilege::Becoming;
use crate::sink::{EventFormat, Place, Stream, Writer};

/// How long a live run waits at its end: not longer than those who stop it do.
const LIVE: Duration = Duration::from_secs(5);
/// How long a replay does.
pub(super) const REPLAY: Duration = Duration::from_secs(60);

/// The places in the network of all streams.
pub(super) struct Remotes {
    targets: Vec<(Stream, Place, Target)>,
    options: Options,
    timeout: Option<Duration>,
}

impl Remotes {
    pub(super) fn new(
        streams: &[(Stream, &[Place])],
        options: &SpoolOptions,
        tell: fn(&str),
    ) -> Result<Self, Error> {
        let mut targets = Vec::new();
        for (stream, places) in streams {
            for place in *places {
                if let Place::Remote(remote) = place {
                    let target = Target::new(*stream, remote)?;
                    targets.push((*stream, place.clone(), target));
                }
            }
        }
        // What such a place has of a sensor's records it can judge by what the sensor says of itself.
        let mut told: Vec<&Place> = Vec::new();
        for place in streams.iter().flat_map(|(_, places)| *places) {
            if let Place::Remote(remote) = place
                && place.merges()
                && !told.contains(&place)
            {
                told.push(place);
                let target = Target::new(Stream::Sensors, remote)?;
                targets.push((Stream::Sensors, place.clone(), target));
            }
        }
        let timeout = options.deliver_timeout.as_deref().map(span).transpose()?;
        Ok(Self {
            options: spool_options(options, !targets.is_empty(), tell)?,
            targets,
            timeout,
        })
    }

    /// Makes the spools' folders, and lets who we are to become have them: afterwards it may be too late.
    pub(super) fn prepare(&self, becoming: Option<&Becoming>) -> Result<(), Error> {
        let Some(becoming) = becoming else {
            return Ok(());
        };
        for (_, _, target) in &self.targets {
            let folder = target.folder(&self.options.folder);
            let failed = |error: std::io::Error| DeliveryError::Spool {
                path: folder.clone(),
                reason: error.to_string(),
            };
            std::fs::create_dir_all(&self.options.folder).map_err(failed)?;
            match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(failed(error).into());
                }
                _ => becoming.give(&folder).map_err(failed)?,
            }
        }
        Ok(())
    }

    /// How long the end of the run may wait.
    pub(super) fn timeout(&self, live: bool) -> Duration {
        self.timeout.unwrap_or(if live { LIVE } else { REPLAY })
    }

    /// Opens the spools of a stream's places.
    pub(super) fn join(
        &mut self,
        stream: Stream,
        event_format: EventFormat,
        writer: &mut Writer,
        deliveries: &mut Deliveries,
    ) -> Result<(), Error> {
        let (own, others) = std::mem::take(&mut self.targets)
            .into_iter()
            .partition(|(of, ..)| *of == stream);
        self.targets = others;
        for (_, place, target) in own {
            writer.add(place, event_format, deliveries.open(target, &self.options)?);
        }
        Ok(())
    }
}

/// Where spools are and how large they may become.
pub(super) fn spool_options(
    options: &SpoolOptions,
    needed: bool,
    tell: fn(&str),
) -> Result<Options, Error> {
    let folder = match &options.spool {
        Some(folder) => folder.clone(),
        None if needed => state_folder()?.join("spool"),
        None => PathBuf::new(),
    };
    // What was left is sent from another working directory, perhaps.
    let folder = if needed {
        std::path::absolute(&folder).unwrap_or(folder)
    } else {
        folder
    };
    Ok(Options {
        folder,
        cap: options.spool_size.saturating_mul(1 << 20),
        tell,
    })
}

/// The folder for what has to outlive a run: of the system for root, else of the user (XDG Base Directory Specification).
fn state_folder() -> Result<PathBuf, Error> {
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/dnsterrier"));
    }
    let of = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    of("XDG_STATE_HOME")
        .or_else(|| of("HOME").map(|home| home.join(".local/state")))
        .map(|folder| folder.join("dnsterrier"))
        .ok_or_else(|| {
            Error::Usage(
                "there is no folder for what cannot be delivered yet: neither XDG_STATE_HOME nor HOME is set; give one with --spool"
                    .to_owned(),
            )
        })
}
