//! The packs inside the program: rule files, and the captures that their tests name.

/// The packs and their texts, in the order in which they are loaded.
pub(super) const PACKS: [(&str, &str); 2] = [
    ("ngrok", include_str!("../../rules/ngrok.yaml")),
    ("tunnels", include_str!("../../rules/tunnels.yaml")),
];

/// The captures by the paths that the packs name them by.
const CAPTURES: [(&str, &[u8]); 1] = [(
    "../captures/packs/tunnels.pcap",
    include_bytes!("../../captures/packs/tunnels.pcap"),
)];

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
