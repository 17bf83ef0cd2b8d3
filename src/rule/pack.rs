//! The packs inside the program: rule files, and the captures that their tests name.

/// The packs and their texts, in the order in which they are loaded.
pub(super) const PACKS: [(&str, &str); 4] = [
    ("ngrok", include_str!("../../rules/ngrok.yaml")),
    ("tunnels", include_str!("../../rules/tunnels.yaml")),
    ("dns-tunnels", include_str!("../../rules/dns-tunnels.yaml")),
    (
        "network-resolution",
        include_str!("../../rules/network-resolution.yaml"),
    ),
];

/// The captures by the paths that the packs name them by.
const CAPTURES: [(&str, &[u8]); 3] = [
    (
        "../captures/packs/tunnels.pcap",
        include_bytes!("../../captures/packs/tunnels.pcap"),
    ),
    (
        "../captures/packs/dns-tunnels.pcap",
        include_bytes!("../../captures/packs/dns-tunnels.pcap"),
    ),
    (
        "../captures/packs/resolution.pcap",
        include_bytes!("../../captures/packs/resolution.pcap"),
    ),
];

/// The file that a pack is, from the project's folder.
#[must_use]
pub fn file(pack: &str) -> String {
    format!("rules/{pack}.yaml")
}

/// A capture that is embedded with the packs, by the path that their tests name it by.
#[must_use]
pub fn capture(path: &str) -> Option<&'static [u8]> {
    CAPTURES
        .iter()
        .find(|(known, _)| *known == path)
        .map(|(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::encrypted::KnownResolvers;
    use crate::rule::{Asked, Rules, embedded};

    /// The rule has the names of `rules/doh-resolvers.txt`, all of them and no others.
    #[test]
    fn the_rule_for_encrypted_dns_has_the_names_of_the_known_resolvers() {
        let known = KnownResolvers::embedded().unwrap();
        let names: BTreeSet<&str> = known.names().collect();
        let mut rules = embedded().unwrap();
        rules.retain(|rule| rule.name == "Encrypted DNS resolver looked up");
        assert_eq!(rules[0].pattern_count(), names.len(), "{names:?}");
        rules[0].enabled = true;
        let rules = Rules::new(rules).unwrap();
        for name in names {
            let asked = Asked {
                name: name.as_bytes(),
                record_type: 1,
            };
            assert!(rules.wants(&asked), "{name} is missing");
        }
    }
}
