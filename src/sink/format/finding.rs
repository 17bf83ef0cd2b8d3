//! Risk events as Detection Finding (2004) of the Open Cybersecurity Schema Framework. `docs/formats.md` has what each
//! attribute comes from.

use serde_json::{Map, Value as Json, json};

use super::ocsf::{PRODUCT, VERSION};
use crate::event::Value;
use crate::risk::{Item, RiskEvent};
use crate::time::Timestamp;

/// A risk event as a Detection Finding: what has no attribute of its own stands under our names in `unmapped`.
pub(super) fn finding(risk: &RiskEvent) -> Json {
    let mut about = Finding::default();
    risk.each(&mut |name, item| about.take(name, &item));
    about.into_json()
}

/// What is gathered for a finding.
#[derive(Default)]
struct Finding {
    time: Option<Timestamp>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    rule: String,
    message: String,
    id: String,
    sensor: String,
    object: String,
    object_type: String,
    score: u64,
    severity: String,
    attacks: Vec<Json>,
    evidences: Vec<Json>,
    observables: Vec<Json>,
    threats: Vec<String>,
    unmapped: Map<String, Json>,
}

impl Finding {
    fn take(&mut self, name: &str, item: &Item<'_>) {
        let text = || {
            let mut all = String::new();
            item.texts(&mut |text| all.push_str(text));
            all
        };
        let time = || match item {
            Item::One(Value::Time(time)) => Some(*time),
            _ => None,
        };
        match name {
            "_time" => self.time = time(),
            "firstTime" => self.first = time(),
            "lastTime" => self.last = time(),
            "search_name" => self.rule = text(),
            "risk_message" => self.message = text(),
            "event_id" => self.id = text(),
            "sensor" => self.sensor = text(),
            "risk_object" => self.object = text(),
            "risk_object_type" => self.object_type = text(),
            "severity" => self.severity = text(),
            "risk_score" => {
                if let Item::One(Value::Number(score)) = item {
                    self.score = *score;
                }
            }
            "annotations.mitre_attack" => item.texts(&mut |id| self.attacks.push(attack(id))),
            "threat_object" => {
                item.texts(&mut |text| self.threats.push(text.to_owned()));
                self.rest(name, item);
            }
            "threat_object_type" => {
                self.rest(name, item);
                let mut threats = self.threats.drain(..);
                item.texts(&mut |kind| {
                    let (type_id, caption) = match kind {
                        "ip_address" => (2, "IP Address"),
                        "domain" => (1, "Hostname"),
                        "url" => (6, "URL String"),
                        _ => (99, "Other"),
                    };
                    self.observables.extend(threats.next().map(|value| {
                        json!({"name": "unmapped.threat_object", "type": caption, "type_id": type_id, "value": value})
                    }));
                });
            }
            "src" => self.evidence(item, |ip| json!({"src_endpoint": {"ip": ip}})),
            "dest" => self.evidence(item, |ip| json!({"dst_endpoint": {"ip": ip}})),
            "query" => self.evidence(item, |name| json!({"query": {"hostname": name}})),
            _ => self.rest(name, item),
        }
    }

    fn rest(&mut self, name: &str, item: &Item<'_>) {
        // What cannot be written as JSON, cannot be in a risk event either.
        if let Ok(value) = serde_json::to_value(item) {
            self.unmapped.insert(name.to_owned(), value);
        }
    }

    fn evidence(&mut self, item: &Item<'_>, of: fn(&str) -> Json) {
        item.texts(&mut |text| self.evidences.push(of(text)));
    }

    fn into_json(self) -> Json {
        let level = match self.severity.as_str() {
            "low" => 1,
            "medium" => 2,
            "high" => 3,
            "critical" => 4,
            _ => 0,
        };
        let captions = ["Info", "Low", "Medium", "High", "Critical"];
        let severities = ["Informational", "Low", "Medium", "High", "Critical"];
        let millis = |time: Option<Timestamp>| time.map(Timestamp::as_millis);
        let mut finding = json!({
            "activity_id": 1, "activity_name": "Create",
            "category_uid": 2, "category_name": "Findings",
            "class_uid": 2004, "class_name": "Detection Finding",
            "type_uid": 200_401, "type_name": "Detection Finding: Create",
            "severity_id": level + 1, "severity": severities.get(level),
            "status_id": 1, "status": "New",
            "time": millis(self.time), "start_time": millis(self.first), "end_time": millis(self.last),
            "message": self.message,
            "metadata": {
                "version": VERSION, "product": PRODUCT, "uid": self.id,
                "original_time": self.time.map(|time| time.to_string()),
                "log_name": "dnsterrier:risk", "log_provider": self.sensor,
            },
            "finding_info": {
                "uid": self.id, "title": self.rule, "desc": self.message,
                "analytic": {"name": self.rule, "type": "Rule", "type_id": 1},
                "first_seen_time": millis(self.first), "last_seen_time": millis(self.last),
            },
            "risk_score": self.score, "risk_level_id": level, "risk_level": captions.get(level),
            "resources": [{"name": self.object, "type": self.object_type}],
        });
        if let Some(Json::Object(info)) = finding.get_mut("finding_info")
            && !self.attacks.is_empty()
        {
            info.insert("attacks".to_owned(), self.attacks.into());
        }
        if let Json::Object(finding) = &mut finding {
            for (name, list) in [
                ("evidences", self.evidences),
                ("observables", self.observables),
            ] {
                if !list.is_empty() {
                    finding.insert(name.to_owned(), list.into());
                }
            }
            finding.insert("unmapped".to_owned(), self.unmapped.into());
        }
        finding
    }
}

/// A technique of ATT&CK, or one that is part of another.
fn attack(id: &str) -> Json {
    match id.split_once('.') {
        Some((technique, _)) => {
            json!({"technique": {"uid": technique}, "sub_technique": {"uid": id}})
        }
        None => json!({"technique": {"uid": id}}),
    }
}
