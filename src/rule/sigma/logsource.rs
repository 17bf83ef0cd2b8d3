//! Which logs are of lookups.

use crate::rule::spelling::clip;
use rsigma_parser::ast::LogSource;

/// What is taken, in words.
const TAKEN: &str = "`category: dns`, `category: dns_query`, `product: zeek` with `service: dns`, or `product: windows` with `service: dns-client`, `dns-server` or `dns-server-analytic`";

/// Checks that a lookup on the wire is what a log source tells of.
///
/// # Errors
/// Says which log it is, and which would do.
pub(super) fn check(source: &LogSource) -> Result<(), String> {
    let part = |part: &Option<String>| part.as_deref().unwrap_or_default().to_ascii_lowercase();
    let (category, product, service) = (
        part(&source.category),
        part(&source.product),
        part(&source.service),
    );
    let taken = matches!(
        (category.as_str(), product.as_str(), service.as_str()),
        ("dns" | "dns_query", _, "" | "dns" | "sysmon" | "dns-client")
            | ("", "zeek", "dns")
            | (
                "",
                "windows",
                "dns-client" | "dns-server" | "dns-server-analytic"
            )
    );
    if taken {
        return Ok(());
    }
    let said: Vec<String> = [
        ("category", &category),
        ("product", &product),
        ("service", &service),
    ]
    .iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| format!("`{key}: {}`", clip(value)))
    .collect();
    let said = if said.is_empty() {
        "nothing".to_owned()
    } else {
        said.join(", ")
    };
    Err(format!(
        "the log source is {said}, which does not tell of DNS lookups; expected {TAKEN}"
    ))
}

/// Whether a filter for one log source is for rules of the other: what it leaves out may be anything.
pub(super) fn covers(filter: &[Option<String>; 3], rule: &[Option<String>; 3]) -> bool {
    filter.iter().zip(rule).all(|(wanted, found)| {
        wanted.as_deref().is_none_or(|wanted| {
            found
                .as_deref()
                .is_some_and(|found| found.eq_ignore_ascii_case(wanted))
        })
    })
}

/// Category, product and service.
pub(super) fn parts(source: &LogSource) -> [Option<String>; 3] {
    [
        source.category.clone(),
        source.product.clone(),
        source.service.clone(),
    ]
}
