//! Secrets, which come from the environment or a file, and from nowhere else.

use std::path::Path;

use super::DeliveryError;
use crate::sink::Remote;

/// No secret is longer.
const LONGEST: usize = 4_096;

/// The secret in the file that an option of the URL names, else in the environment variable.
///
/// # Errors
/// The file cannot be read, or it holds what cannot be a secret.
pub(super) fn read(
    remote: &Remote,
    option: &str,
    variable: &str,
) -> Result<Option<String>, DeliveryError> {
    let Some(path) = remote.option(option) else {
        return match std::env::var(variable) {
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => usable(text.trim()).map(Some).ok_or_else(|| {
                DeliveryError::Usage(format!(
                    "the environment variable {variable} holds what cannot be a secret: one line of printable ASCII is expected"
                ))
            }),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(DeliveryError::Usage(format!(
                "the environment variable {variable} is not text"
            ))),
        };
    };
    let failed = |reason: String| DeliveryError::File {
        path: Path::new(path).to_owned(),
        what: "the secret",
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    usable(text.trim())
        .map(Some)
        .ok_or_else(|| failed("one line of printable ASCII is expected".to_owned()))
}

/// What can stand in a header of HTTP.
fn usable(text: &str) -> Option<String> {
    let is_usable = !text.is_empty()
        && text.len() <= LONGEST
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    is_usable.then(|| text.to_owned())
}
