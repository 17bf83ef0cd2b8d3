//! The packets of link types that nobody can take apart.

use std::collections::BTreeMap;

use super::Refuse;
use crate::packet::LinkType;

/// Counts the packets of one input by the link types that are refused.
pub(super) struct Links {
    refuse: Refuse,
    /// One that is not refused: that of the packet before, mostly.
    usual: Option<LinkType>,
    /// By number: the name, and how many packets. A pcapng file has 65,536 link types at most.
    refused: BTreeMap<i32, (String, u64)>,
}

impl Links {
    /// How many link types are said by name.
    const NAMED: usize = 8;

    pub(super) const fn new(refuse: Refuse) -> Self {
        Self {
            refuse,
            usual: None,
            refused: BTreeMap::new(),
        }
    }

    /// Whether the packet's link type is refused; it is then counted.
    #[inline]
    pub(super) fn refuse(&mut self, link: LinkType) -> bool {
        self.usual != Some(link) && self.look_up(link)
    }

    fn look_up(&mut self, link: LinkType) -> bool {
        if let Some((_, packets)) = self.refused.get_mut(&link.0) {
            *packets += 1;
            return true;
        }
        let name = (self.refuse)(link);
        match name {
            Some(name) => self.refused.insert(link.0, (name, 1)).is_none(),
            None => {
                self.usual = Some(link);
                false
            }
        }
    }

    /// How many packets of which link types were refused; `None` where none was.
    pub(super) fn words(&self) -> Option<String> {
        let mut list: Vec<String> = self
            .refused
            .values()
            .take(Self::NAMED)
            .map(|(name, packets)| format!("{packets} of {name}"))
            .collect();
        if self.refused.len() > Self::NAMED {
            list.push("and others".to_owned());
        }
        (!list.is_empty()).then(|| list.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_counted_and_named() {
        let mut links =
            Links::new(|LinkType(number)| (number >= 100).then(|| format!("number {number}")));
        assert_eq!(links.words(), None);
        for (number, refused) in [(1, false), (1, false), (100, true), (2, false), (100, true)] {
            assert_eq!(links.refuse(LinkType(number)), refused);
        }
        assert_eq!(links.words().as_deref(), Some("2 of number 100"));
        for number in 101..120 {
            assert!(links.refuse(LinkType(number)));
            assert!(!links.refuse(LinkType(7)));
        }
        let words = links.words().unwrap();
        assert!(
            words.starts_with("2 of number 100, 1 of number 101, "),
            "{words}"
        );
        assert!(words.ends_with("1 of number 107, and others"), "{words}");
    }
}
