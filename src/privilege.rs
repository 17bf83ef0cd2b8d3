//! Giving up root once the interfaces are open.

use std::ffi::CString;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgid, setuid};

use crate::error::Error;

/// Who is to be become.
#[derive(Debug)]
pub struct Becoming {
    user: User,
    group: Gid,
}

/// Whom to become: `user` with its group, or the user behind sudo with the group that they had; nobody where there is
/// neither.
///
/// # Errors
/// The user does not exist; sudo's group is no number.
pub fn becoming(user: Option<&str>) -> Result<Option<Becoming>, Error> {
    let sudo = |name: &str| std::env::var(name).ok();
    let (user, group) = match user {
        Some(name) => {
            let user = User::from_name(name)
                .map_err(|errno| failed(name, errno.to_string()))?
                .ok_or_else(|| failed(name, "there is no such user".to_owned()))?;
            let group = user.gid;
            (user, group)
        }
        None => {
            let Some(id) = sudo("SUDO_UID").and_then(|id| id.parse().ok()) else {
                return Ok(None);
            };
            if !geteuid().is_root() || id == 0 {
                return Ok(None);
            }
            let Ok(Some(user)) = User::from_uid(Uid::from_raw(id)) else {
                return Err(failed(
                    &id.to_string(),
                    "sudo names a user that does not exist".to_owned(),
                ));
            };
            // The group that they worked with, which newgrp may have changed.
            let group = match sudo("SUDO_GID") {
                None => user.gid,
                Some(group) => Gid::from_raw(group.parse().map_err(|_| {
                    failed(
                        &user.name,
                        format!("sudo's group, SUDO_GID={group}, is no number"),
                    )
                })?),
            };
            (user, group)
        }
    };
    if user.uid == geteuid() {
        return Ok(None);
    }
    Ok(Some(Becoming { user, group }))
}

fn failed(name: &str, reason: String) -> Error {
    Error::User {
        name: name.to_owned(),
        reason,
    }
}

impl Becoming {
    /// Lets that user have a folder, and the plain files in it.
    ///
    /// # Errors
    /// What the system says.
    pub fn give(&self, folder: &Path) -> io::Result<()> {
        let files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
        let all = std::iter::once(Ok(folder.to_owned())).chain(files);
        for path in all.collect::<io::Result<Vec<_>>>()? {
            // Nothing that somebody else put there: neither what a link leads to, nor a file that has another name elsewhere.
            let found = std::fs::symlink_metadata(&path)?;
            if !(found.is_dir() || found.is_file() && found.nlink() == 1) {
                continue;
            }
            lchown(
                path,
                Some(self.user.uid.as_raw()),
                Some(self.group.as_raw()),
            )?;
        }
        Ok(())
    }

    /// Becomes that user, and gives its name.
    ///
    /// # Errors
    /// It may not be become.
    pub fn give_up(self) -> Result<String, Error> {
        become_user(&self.user, self.group)
            .map_err(|errno| failed(&self.user.name, errno.to_string()))?;
        Ok(self.user.name)
    }
}

/// Groups first: without root they can no longer be set.
fn become_user(user: &User, group: Gid) -> Result<(), nix::Error> {
    let name = CString::new(user.name.as_str()).map_err(|_| nix::Error::EINVAL)?;
    initgroups(&name, group)?;
    setgid(group)?;
    setuid(user.uid)?;
    if !user.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
        return Err(nix::Error::EPERM);
    }
    Ok(())
}
