//! The ATT&CK techniques of the hits as a layer for ATT&CK Navigator: its file format 4.5, as the Navigator's
//! `LAYERFORMATv4_5.md` has it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::pipeline::Report;

/// The layer. Its `versions` leave ATT&CK's own out: the Navigator then takes the current one, and rules name techniques
/// without a version.
#[derive(Debug, Serialize)]
pub struct Layer {
    name: String,
    versions: Versions,
    domain: &'static str,
    description: String,
    /// By score, the highest first.
    sorting: u8,
    layout: Layout,
    techniques: Vec<Technique>,
    gradient: Gradient,
    metadata: Vec<Metadata>,
}

#[derive(Debug, Serialize)]
struct Versions {
    /// The oldest that reads this format.
    navigator: &'static str,
    layer: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    layout: &'static str,
    #[serde(rename = "showID")]
    show_id: bool,
    expanded_subtechniques: &'static str,
}

#[derive(Debug, Serialize)]
struct Technique {
    #[serde(rename = "techniqueID")]
    id: String,
    /// Hits.
    score: u64,
    comment: String,
    enabled: bool,
    /// Each rule, and its hits.
    metadata: Vec<Metadata>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Gradient {
    colors: [&'static str; 2],
    min_value: u64,
    max_value: u64,
}

#[derive(Debug, Serialize)]
struct Metadata {
    name: String,
    value: String,
}

impl Layer {
    /// That of a run: a technique for each that a rule with hits names, scored by the number of hits.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let hits = report
            .hits
            .iter()
            .map(|rule| (rule.name.as_str(), rule.attack.as_slice(), rule.hits));
        let stats = &report.stats;
        let span = match (stats.capture.first, stats.capture.last) {
            (Some(first), Some(last)) => format!("{first} to {last}"),
            _ => "no packet".to_owned(),
        };
        Self::new(hits, &stats.sensor, &span, stats.version)
    }

    /// `hits` are rules with their techniques and numbers of hits.
    fn new<'a>(
        hits: impl Iterator<Item = (&'a str, &'a [String], u64)>,
        sensor: &str,
        span: &str,
        version: &str,
    ) -> Self {
        let mut rules_of = BTreeMap::<&str, BTreeMap<&str, u64>>::new();
        for (rule, techniques, hits) in hits {
            for technique in techniques {
                // A rule that names a technique twice hits it once.
                rules_of.entry(technique).or_default().insert(rule, hits);
            }
        }
        let techniques: Vec<Technique> = rules_of
            .into_iter()
            .map(|(id, rules)| Technique {
                id: id.to_owned(),
                score: rules
                    .values()
                    .fold(0, |sum, hits| sum.saturating_add(*hits)),
                comment: rules.keys().copied().collect::<Vec<_>>().join("; "),
                enabled: true,
                metadata: rules
                    .into_iter()
                    .map(|(rule, hits)| Metadata {
                        name: rule.to_owned(),
                        value: hits.to_string(),
                    })
                    .collect(),
            })
            .collect();
        let most = techniques.iter().map(|technique| technique.score).max();
        let metadata = |name: &str, value: &str| Metadata {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        Self {
            name: format!("dnsterrier: {sensor}"),
            versions: Versions {
                navigator: "4.9.0",
                layer: "4.5",
            },
            domain: "enterprise-attack",
            description: format!(
                "Techniques of the rules that matched DNS lookups, {span}; the score is the number of hits."
            ),
            sorting: 3,
            layout: Layout {
                layout: "side",
                show_id: true,
                expanded_subtechniques: "annotated",
            },
            techniques,
            gradient: Gradient {
                colors: ["#ffe766", "#ff6666"],
                min_value: 0,
                // It must be above the least.
                max_value: most.unwrap_or(1).max(1),
            },
            metadata: vec![
                metadata("sensor", sensor),
                metadata("time", span),
                metadata("made by", &format!("dnsterrier {version}")),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_add_up_over_rules() {
        let techniques =
            |list: &[&str]| -> Vec<String> { list.iter().map(|text| (*text).to_owned()).collect() };
        let (first, second) = (
            techniques(&["T1572", "T1090"]),
            techniques(&["T1572", "T1572"]),
        );
        let hits = [("A", first.as_slice(), 3), ("B", second.as_slice(), 4)];
        let layer = Layer::new(hits.into_iter(), "s", "then", "0");
        let found: Vec<_> = layer
            .techniques
            .iter()
            .map(|it| (it.id.as_str(), it.score, it.comment.as_str()))
            .collect();
        assert_eq!(found, [("T1090", 3, "A"), ("T1572", 7, "A; B")]);
        assert_eq!(layer.gradient.max_value, 7);
        let none = Layer::new(std::iter::empty(), "s", "then", "0");
        assert!(none.techniques.is_empty() && none.gradient.max_value > none.gradient.min_value);
    }
}
