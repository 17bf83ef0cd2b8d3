//! Giving up root once the interfaces are open.

use std::ffi::CString;

use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgid, setuid};

use crate::error::Error;

/// Becomes `user` with its group, or the user behind sudo with the group that they had; stays who it is where there is
/// neither. Gives the name of the user that it became.
///
/// # Errors
/// The user does not exist, or may not be become; sudo's group is no number.
pub fn give_up(user: Option<&str>) -> Result<Option<String>, Error> {
    let sudo = |name: &str| std::env::var(name).ok();
    let failed = |name: &str, reason: String| Error::User {
        name: name.to_owned(),
        reason,
    };
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
    become_user(&user, group).map_err(|errno| failed(&user.name, errno.to_string()))?;
    Ok(Some(user.name))
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
