//! Assets: what an organisation knows of its addresses, from a list in the form of Splunk Enterprise Security's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;

use super::field::network;
use super::networks::Networks;
use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

/// The columns that the list may have; of them `ip` it must have.
const COLUMNS: [&str; 18] = [
    "ip",
    "mac",
    "nt_host",
    "dns",
    "owner",
    "priority",
    "lat",
    "long",
    "city",
    "country",
    "bunit",
    "category",
    "pci_domain",
    "is_expected",
    "should_timesync",
    "should_update",
    "requires_av",
    "cim_entity_zone",
];

/// The most networks that a list may come to.
const NETWORKS: usize = 4_000_000;

/// What is known of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asset {
    /// The business unit.
    pub bunit: Option<Box<str>>,
    /// The categories, in the list's order.
    pub category: Vec<Box<str>>,
    /// How much depends on it.
    pub priority: Option<Box<str>>,
}

/// Addresses and what is known of them; the most specific entry wins, of equal ones the first.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    networks: Networks<Arc<Asset>>,
}

/// What is wrong with a list, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetMistake {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl Assets {
    /// Reads a list: CSV whose first line names the columns of Splunk Enterprise Security's asset list. Entries of another
    /// zone than `zone` are left out; those without a zone belong to all.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn read(list: impl Read, zone: Option<&str>) -> Result<Self, Vec<AssetMistake>> {
        let mut mistakes = Vec::new();
        let mut add = |line, message: String| mistakes.push(AssetMistake { line, message });
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(list);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => {
                add(1, format!("cannot be read: {error}"));
                return Err(mistakes);
            }
        };
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (place, name) in header.iter().enumerate() {
            let name = name.trim().trim_start_matches('\u{feff}');
            let known = COLUMNS
                .iter()
                .find(|known| known.eq_ignore_ascii_case(name));
            match known {
                Some(known) => match places.entry(known) {
                    Entry::Vacant(entry) => {
                        entry.insert(place);
                    }
                    Entry::Occupied(_) => {
                        add(
                            1,
                            format!("the column `{name}` a second time; expected each once"),
                        );
                    }
                },
                None => add(
                    1,
                    format!(
                        "there is no column '{}' in an asset list; expected {}",
                        name.escape_default(),
                        COLUMNS.join(", ")
                    ),
                ),
            }
        }
        if !places.contains_key("ip") {
            add(
                1,
                "no column `ip`; expected one with addresses, networks or ranges".to_owned(),
            );
        }
        let mut assets = Self::default();
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    add(line, format!("cannot be read: {error}"));
                    // Bytes that are no text spoil their own line alone.
                    if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) {
                        continue;
                    }
                    break;
                }
            };
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() > header.len() {
                add(
                    line,
                    format!("{} columns; expected {}", record.len(), header.len()),
                );
            }
            let of = |column: &str| {
                let place = places.get(column)?;
                Some(record.get(*place)?.trim()).filter(|text| !text.is_empty())
            };
            if of("cim_entity_zone").is_some_and(|its| Some(its) != zone) {
                continue;
            }
            let asset = Arc::new(Asset {
                bunit: of("bunit").map(Box::from),
                category: several(of("category")).map(Box::from).collect(),
                priority: of("priority").map(Box::from),
            });
            for text in several(of("ip")) {
                match networks(text) {
                    Ok(networks) => {
                        for network in networks {
                            assets
                                .networks
                                .entry(network)
                                .or_insert_with(|| Arc::clone(&asset));
                        }
                    }
                    Err(message) => add(line, message),
                }
            }
            if assets.networks.len() > NETWORKS {
                add(
                    line,
                    format!("more than {NETWORKS} networks; expected fewer, or larger ones"),
                );
                break;
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(assets)
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// What is known of an address.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<&Arc<Asset>> {
        self.networks.of_address(address).next()
    }
}

/// The parts of a column that holds several.
fn several(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.into_iter()
        .flat_map(|text| text.split('|'))
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

/// The networks that an address, a network, or a range `first-last` comes to.
fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    if let Some(network) = network(text) {
        return Ok(vec![network.trunc()]);
    }
    let range = text.split_once('-').and_then(|(first, last)| {
        match (first.trim().parse().ok()?, last.trim().parse().ok()?) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                Some(IpSubnets::from(Ipv4Subnets::new(first, last, 0)))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                Some(IpSubnets::from(Ipv6Subnets::new(first, last, 0)))
            }
            _ => None,
        }
    });
    range.map(Iterator::collect).ok_or_else(|| {
        format!(
            "'{}' is no address; expected 192.0.2.1, 192.0.2.0/24, 192.0.2.1-192.0.2.9 or several with | between",
            text.escape_default()
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Assets {
        Assets::read(text.as_bytes(), None).unwrap()
    }

    fn bunit(assets: &Assets, address: &str) -> Option<String> {
        let asset = assets.find(address.parse().unwrap())?;
        asset.bunit.as_deref().map(str::to_owned)
    }

    #[test]
    fn the_most_specific_entry_wins_and_of_equal_ones_the_first() {
        let assets = read(
            "ip,bunit,category,priority\n\
             10.0.0.0/8,all,,low\n\
             10.1.0.0/16,site,dmz|pci,high\n\
             10.1.2.3,host,,\n\
             10.1.2.3,again,,\n\
             10.2.0.5-10.2.0.9|2001:db8::/32,several,,\n",
        );
        for (address, expected) in [
            ("10.9.9.9", Some("all")),
            ("10.1.9.9", Some("site")),
            ("10.1.2.3", Some("host")),
            ("10.2.0.4", Some("all")),
            ("10.2.0.5", Some("several")),
            ("10.2.0.9", Some("several")),
            ("10.2.0.10", Some("all")),
            ("2001:db8:1::1", Some("several")),
            ("192.0.2.1", None),
            ("2001:db9::1", None),
        ] {
            assert_eq!(bunit(&assets, address).as_deref(), expected, "{address}");
        }
        let site = assets.find("10.1.0.1".parse().unwrap()).unwrap();
        assert_eq!(site.category, ["dmz".into(), "pci".into()]);
        assert_eq!(site.priority.as_deref(), Some("high"));
        assert!(read("ip,mac\n").is_empty());
    }

    #[test]
    fn an_entry_of_another_zone_says_nothing_here() {
        let list =
            "ip,bunit,cim_entity_zone\n10.0.0.1,lab,lab\n10.0.0.1,office,office\n10.0.0.2,any,\n";
        let of = |zone| Assets::read(list.as_bytes(), zone).unwrap();
        assert_eq!(
            bunit(&of(Some("office")), "10.0.0.1").as_deref(),
            Some("office")
        );
        assert_eq!(bunit(&of(None), "10.0.0.1"), None);
        assert_eq!(bunit(&of(None), "10.0.0.2").as_deref(), Some("any"));
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        let list = b"ip,bunitt,ip\n10.0.0.300,x\n10.0.0.9-10.0.0.1,x\n10.0.0.1,a,b,c\n\xff,x\n192.0.2.0/24 | fe80,x\n";
        let mistakes = Assets::read(&list[..], None).unwrap_err();
        let found: Vec<(u64, &str)> = mistakes
            .iter()
            .map(|mistake| (mistake.line, mistake.message.as_str()))
            .collect();
        let expected = [
            (1, "there is no column 'bunitt'"),
            (1, "the column `ip` a second time"),
            (2, "'10.0.0.300' is no address"),
            (3, "'10.0.0.9-10.0.0.1' is no address"),
            (4, "4 columns; expected 3"),
            (5, "cannot be read"),
            (6, "'fe80' is no address"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((line, message), (expected_line, start)) in found.iter().zip(expected) {
            assert!(
                *line == expected_line && message.starts_with(start),
                "{line}: {message}"
            );
        }
        let without = Assets::read(&b"mac,dns\n"[..], None).unwrap_err();
        assert!(without[0].message.starts_with("no column `ip`"));
    }

    proptest! {
        /// Against the plainest search: every network that holds the address, the longest of them, the first of those.
        #[test]
        fn what_is_found_is_what_a_walk_over_all_finds(
            entries in prop::collection::vec((any::<u8>(), any::<u8>(), 20_u8..=32), 1..20),
            asked in prop::collection::vec((any::<u8>(), any::<u8>()), 1..20),
        ) {
            let nets: Vec<IpNet> = entries
                .iter()
                .map(|(third, last, length)| format!("10.0.{}.{last}/{length}", third % 4).parse::<IpNet>().unwrap().trunc())
                .collect();
            let list: String = nets
                .iter()
                .enumerate()
                .map(|(number, network)| format!("{network},{number}\n"))
                .collect();
            let assets = read(&format!("ip,bunit\n{list}"));
            for (third, last) in asked {
                let address: IpAddr = format!("10.0.{}.{last}", third % 4).parse().unwrap();
                let naive = nets
                    .iter()
                    .enumerate()
                    .filter(|(_, network)| network.contains(&address))
                    .max_by_key(|(number, network)| (network.prefix_len(), usize::MAX - number))
                    .map(|(number, _)| number.to_string());
                prop_assert_eq!(bunit(&assets, &address.to_string()), naive);
            }
        }
    }
}
