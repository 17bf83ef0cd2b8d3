//! What the matcher thread does with each event: its rules, its rows, and where they go.

use std::sync::Arc;
use std::time::Duration;

use super::shown::{Novelty, SHOWN_MAX, Shown};
use super::{EventBatch, HitsOfRule, Loaded, Save, Span, Writers};
use crate::aggregate::correlate::{self, Correlator};
use crate::aggregate::sources::Sources;
use crate::aggregate::{Aggregator, Row};
use crate::delivery::Deliveries;
use crate::event::Event;
use crate::evidence::{self, Evidence};
use crate::risk::Scorer;
use crate::rule::{Filters, Moved, Moves, Rule, Rules};
use crate::sink::{
    HitRecord, Rotation, SensorRecord, SinkError, TableOptions, live_line, rows_table,
};
use crate::stats::{self, EncryptedDns, RuleHits, Stats, WrittenPackets};
use crate::time::Timestamp;

/// The stages from events to records.
pub(super) struct Matching {
    span: Span,
    rules: Arc<Rules>,
    aggregator: Aggregator,
    correlator: Correlator,
    scorer: Scorer,
    pub(super) sources: Sources,
    pub(super) filters: Filters,
    writers: Writers,
    table: TableOptions,
    live: bool,
    show: fn(&str),
    pub(super) tell: fn(&str),
    /// Where the counters so far go when they are asked for beside the rows.
    pub(super) save: Option<Save>,
    /// When files give way to new ones.
    pub(super) rotation: Rotation,
    /// The run itself: its sensor and its inputs.
    pub(super) sensor: Arc<str>,
    pub(super) inputs: Vec<String>,
    /// Everything is decoded, whatever the rules need.
    pub(super) everything_asked_for: bool,
    pub(super) deliveries: Deliveries,
    /// The packets of what hit, where somebody wants them.
    evidence: Option<Evidence>,
    /// How many packets were written.
    packets_written: u64,
    /// The combinations of rule, source and name.
    shown: Shown,
    stats: Stats,
    outside_time: u64,
    /// Pairs of a rule and an event that matched it, and those that a filter took away.
    matched: u64,
    removed: u64,
    /// The others of each rule, by its place.
    hits_of_rules: Vec<u64>,
    /// Those of rules that are there no longer, or no longer as they were.
    hits_before: Vec<HitsOfRule>,
    /// Some rule needed everything decoded, all the time.
    needed_everything: bool,
    failed: Option<SinkError>,
}

/// How the matching ended.
pub(super) struct Done {
    pub(super) stats: Stats,
    pub(super) output: Result<(), SinkError>,
    pub(super) sources_with_hits: u64,
    pub(super) hits: Vec<HitsOfRule>,
}

/// The hits of more rules than these that are there no longer are forgotten.
const HITS_BEFORE: usize = 10_000;

impl Matching {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a stage or an option of the run, named where it is called"
    )]
    pub(super) fn new(
        span: Span,
        rules: Arc<Rules>,
        aggregator: Aggregator,
        scorer: Scorer,
        writers: Writers,
        table: TableOptions,
        live: bool,
        show: fn(&str),
    ) -> Self {
        Self {
            span,
            correlator: Correlator::new(rules.list(), correlate::Limits::default()),
            hits_of_rules: vec![0; rules.list().len()],
            hits_before: Vec::new(),
            needed_everything: rules.needs_everything(),
            rules,
            aggregator,
            scorer,
            sources: Sources::default(),
            filters: Filters::default(),
            tell: |_| {},
            save: None,
            rotation: Rotation::default(),
            sensor: Arc::from(""),
            inputs: Vec::new(),
            everything_asked_for: false,
            deliveries: Deliveries::default(),
            writers,
            table,
            live,
            show,
            evidence: None,
            packets_written: 0,
            shown: Shown::new(SHOWN_MAX),
            stats: Stats::default(),
            outside_time: 0,
            matched: 0,
            removed: 0,
            failed: None,
        }
    }

    /// Where evidence goes somewhere, keeps the packets of what hits; `longest` is how long a transaction can take.
    pub(super) fn keep_evidence(&mut self, longest: Duration) {
        let limits = evidence::Limits::with_wait(longest);
        self.evidence = (!self.writers.evidence.is_none()).then(|| Evidence::new(limits));
    }

    /// Takes a batch; `false` where nothing more can be written.
    pub(super) fn take(&mut self, batch: &mut EventBatch, show: bool) -> bool {
        if let Some(reloaded) = batch.reloaded.take() {
            self.replace(*reloaded);
        }
        self.sources.learn_resolvers(batch.resolvers.drain(..));
        for sighting in batch.sightings.drain(..) {
            if self.span.holds(sighting.time) {
                let (writers, failed) = (&mut self.writers, &mut self.failed);
                self.sources.add_sighting(&sighting, &mut |source| {
                    keep(failed, writers.sources.write(&source))
                });
            }
        }
        for packet in batch.packets.packets() {
            keep(&mut self.failed, self.writers.packets.packet(&packet, &[]));
            self.packets_written += 1;
        }
        batch.packets.clear();
        let before = self.aggregator.stats.rows;
        batch.events.fetch();
        for (over, event) in batch.events.iter() {
            // What is late does not depend on how events come together.
            self.advance(*over);
            if self.span.holds(event.time) {
                self.tell_expired(event.time);
                self.event(event);
            } else {
                self.outside_time += 1;
            }
            if self.failed.is_some() {
                return false;
            }
        }
        for further in batch.further.drain(..) {
            if let Some(evidence) = &mut self.evidence {
                evidence.further(&further);
            }
        }
        if let Some(evidence) = &mut self.evidence
            && batch.now > Timestamp::MIN
        {
            let written = evidence.advance(batch.now, &mut self.writers.evidence);
            keep(&mut self.failed, written);
        }
        self.tell_expired(batch.now);
        self.advance(batch.now);
        let quiet = batch.events.is_empty();
        std::mem::swap(&mut self.stats, &mut batch.stats);
        if show {
            (self.show)(&rows_table(&self.aggregator.so_far(), self.table));
            if let Some(save) = &self.save {
                save(&self.counted());
            }
        }
        if self.live && self.aggregator.stats.rows > before {
            self.report_sensor();
        }
        if self.live && (quiet || self.aggregator.stats.rows > before) {
            self.flush();
        } else {
            self.hand_over();
        }
        if self.live && batch.now > Timestamp::MIN {
            self.rotate(batch.now);
        }
        self.failed.is_none()
    }

    /// Begins new files where it is time.
    fn rotate(&mut self, now: Timestamp) {
        let over = self.rotation.advance(now);
        let rotation = self.rotation;
        for writer in self.writers.all() {
            match writer.rotate(rotation, over, now) {
                // Files that cannot be rotated go on; one that cannot be written does not.
                Err(error @ SinkError::Open { .. }) => {
                    (self.tell)(&format!(
                        "dnsterrier: {error}; files are rotated no longer\n"
                    ));
                    self.rotation = Rotation::default();
                }
                result => keep(&mut self.failed, result),
            }
        }
    }

    /// Opens the files again that were moved away.
    pub(super) fn reopen(&mut self) {
        for writer in self.writers.all() {
            match writer.reopen() {
                Err(error @ SinkError::Open { .. }) => {
                    (self.tell)(&format!(
                        "dnsterrier: {error}; records go on to the file that was moved away\n"
                    ));
                }
                result => keep(&mut self.failed, result),
            }
        }
    }

    /// Closes the windows whose time is over.
    fn advance(&mut self, now: Timestamp) {
        self.rows(|aggregator, emit| aggregator.advance(now, emit));
    }

    /// Writes and scores the rows that the aggregation gives together.
    fn rows(&mut self, give: impl FnOnce(&mut Aggregator, &mut dyn FnMut(Row))) {
        let mut rows = RowsOut {
            scorer: &mut self.scorer,
            writers: &mut self.writers,
            failed: &mut self.failed,
        };
        let sources = &self.sources;
        give(&mut self.aggregator, &mut |row| rows.take(&row, sources));
        rows.close();
    }

    /// Goes on with what was read anew.
    fn replace(&mut self, loaded: Loaded) {
        let Loaded {
            rules,
            filters,
            aggregator,
            scorer,
            // The decoder has them.
            assets: _,
        } = loaded;
        let moves = Moves::between(&self.rules, &rules);
        self.rows(|before, emit| before.replace(aggregator, &moves, emit));
        self.scorer.replace(scorer, &moves);
        self.correlator.replace(rules.list(), &moves);
        self.filters.replace(filters);
        let mut hits_of_rules = vec![0; rules.list().len()];
        let before = self.rules.list().iter().zip(&self.hits_of_rules);
        for (place, (rule, &hits)) in before.enumerate().filter(|(_, (_, hits))| **hits > 0) {
            let now = match moves.of(place) {
                Moved::Kept(now) => hits_of_rules.get_mut(now),
                Moved::Changed(_) | Moved::Gone => None,
            };
            match now {
                Some(now) => *now = hits,
                None => add_hits(&mut self.hits_before, rule, hits),
            }
        }
        self.hits_of_rules = hits_of_rules;
        self.needed_everything &= rules.needs_everything();
        self.rules = rules;
        // Who is told that it was done finds the rows.
        if self.live {
            self.flush();
        }
        for warning in self.rules.warnings() {
            (self.tell)(&format!("dnsterrier: warning: {warning}\n"));
        }
        (self.tell)(&format!(
            "dnsterrier: reloaded: {moves}; rules that run now: {}\n",
            self.rules.running().count()
        ));
    }

    /// How many packets, or stored events, were received, as far as is known here.
    pub(super) const fn received(&self) -> u64 {
        self.stats.received()
    }

    /// All counters so far.
    pub(super) fn counted(&self) -> Stats {
        let mut stats = self.stats.clone();
        stats.version = env!("CARGO_PKG_VERSION");
        stats.sensor = self.sensor.to_string();
        stats.inputs.clone_from(&self.inputs);
        stats.mode = if self.everything_asked_for || self.needed_everything {
            "everything"
        } else {
            "candidates"
        };
        stats.events.outside_time = self.outside_time;
        stats.evidence = self
            .evidence
            .as_ref()
            .map_or_else(Default::default, |it| it.stats);
        stats.written_packets = WrittenPackets {
            written: self.packets_written,
            asked_for: !self.writers.packets.is_none(),
            ..stats.written_packets
        };
        stats.rules = hits_by_name(&self.rules, &self.hits_of_rules, &self.hits_before);
        stats.rows = self.aggregator.stats;
        stats.rows.correlation_evicted = self.correlator.evicted;
        stats.risk = self.scorer.stats;
        stats.filters = stats::Filters {
            matched: self.matched,
            removed: self.removed,
            filters: self.filters.counted(),
        };
        stats.encrypted_dns = EncryptedDns {
            forgotten: stats.encrypted_dns.forgotten,
            ..self.sources.encrypted_so_far()
        };
        stats.deliveries = self.deliveries.so_far();
        stats.tables.groups = self.aggregator.groups() as u64;
        stats.tables.sources = self.sources.len() as u64;
        stats
    }

    /// Writes what is left and ends. Files that are abandoned keep the name that says they are partial.
    pub(super) fn finish(mut self, abandon: bool) -> Done {
        self.rows(Aggregator::finish);
        let sources = self.sources.finish();
        for source in &sources {
            keep(&mut self.failed, self.writers.sources.write(source));
        }
        self.report_sensor();
        if let Some(evidence) = &mut self.evidence {
            keep(&mut self.failed, evidence.close(&mut self.writers.evidence));
        }
        let mut stats = self.counted();
        stats.encrypted_dns = EncryptedDns {
            forgotten: stats.encrypted_dns.forgotten,
            ..self.sources.finish_encrypted()
        };
        let mut hits = self.hits_before;
        let now = self.rules.list().iter().zip(&self.hits_of_rules);
        for (rule, count) in now.filter(|(_, count)| **count > 0) {
            add_hits(&mut hits, rule, *count);
        }
        let output = match self.failed {
            // What is dropped unfinished keeps the name that says so.
            Some(error) => Err(error),
            None if abandon => Ok(()),
            None => {
                let Writers {
                    rows,
                    hits,
                    events,
                    sources,
                    risk,
                    sensors,
                    evidence,
                    packets,
                } = self.writers;
                let results = [
                    rows.finish(),
                    hits.finish(),
                    events.finish(),
                    sources.finish(),
                    risk.finish(),
                    sensors.finish(),
                    evidence.finish(),
                    packets.finish(),
                ];
                results.into_iter().find(Result::is_err).unwrap_or(Ok(()))
            }
        };
        Done {
            stats,
            output,
            sources_with_hits: sources.iter().filter(|source| source.hits > 0).count() as u64,
            hits,
        }
    }

    fn event(&mut self, event: &Event) {
        self.aggregator.stats.events += 1;
        let (writers, failed) = (&mut self.writers, &mut self.failed);
        if !writers.events.is_none() {
            keep(failed, writers.events.write(event));
        }
        let (aggregator, sources) = (&mut self.aggregator, &mut self.sources);
        let (scorer, shown) = (&mut self.scorer, &mut self.shown);
        let (correlator, evidence) = (&mut self.correlator, &mut self.evidence);
        let (filters, hits_of_rules) = (&mut self.filters, &mut self.hits_of_rules);
        let (all, removed) = (&mut self.matched, &mut self.removed);
        let mut matched = false;
        // A hit of a rule, or, in the group of that key, of a correlation; false where a filter took it away.
        let mut take = |place: usize,
                        event: &Event,
                        name: &str,
                        group: Option<&[u8]>,
                        is_first: bool|
         -> bool {
            let Some(rule) = self.rules.list().get(place) else {
                return false;
            };
            let is_silent = self.rules.is_silent(place);
            *all += u64::from(!is_silent);
            if !is_silent && !writers.risk.is_none() {
                scorer.see(place, event, name);
            }
            if filters.remove(place, event, name) {
                *removed += u64::from(!is_silent);
                return false;
            }
            if is_silent {
                return true;
            }
            matched = true;
            if let Some(evidence) = evidence
                && let Some(rows) = aggregator.rows_of(group, place, event, name)
            {
                evidence.hit(event, &rows);
            }
            let mut rows = RowsOut {
                scorer: &mut *scorer,
                writers: &mut *writers,
                failed: &mut *failed,
            };
            let known = &*sources;
            let mut emit = |row: Row| rows.take(&row, known);
            match group {
                Some(key) => aggregator.add_to_group(key, place, event, name, &mut emit),
                None => aggregator.add(place, event, name, &mut emit),
            }
            rows.close();
            if !is_first {
                return true;
            }
            if let Some(hits) = hits_of_rules.get_mut(place) {
                *hits += 1;
            }
            if !writers.hits.is_none() {
                keep(
                    failed,
                    writers.hits.write(&HitRecord {
                        rule: &rule.name,
                        event,
                    }),
                );
            }
            // Of a rule with thresholds a lookup is nothing yet: its rows say what came of it.
            if self.live && rule.having.is_empty() {
                let line = match shown.look((rule.name.as_str(), event.src, name)) {
                    Novelty::New => Some(live_line(&rule.name, name, event, self.table)),
                    Novelty::Known => None,
                    Novelty::Unremembered => {
                        aggregator.stats.shown_cut += 1;
                        (aggregator.stats.shown_cut == 1).then(|| {
                            format!("{SHOWN_MAX} new ones were shown: all further ones are in the table alone")
                        })
                    }
                };
                if let Some(line) = line {
                    keep(failed, writers.rows.line(&line));
                }
            }
            sources.add(&rule.name, event, name, &mut |source| {
                keep(failed, writers.sources.write(&source))
            });
            true
        };
        self.rules.hits(event, &mut |place, event, name| {
            if take(place, event, name, None, true) {
                correlator.take(place, event, name, &mut |hit| {
                    take(hit.rule, hit.event, hit.query, Some(hit.key), hit.is_first);
                });
            }
        });
        if let Some(evidence) = &mut self.evidence {
            evidence.over(event);
        }
        self.aggregator.stats.events_matched += u64::from(matched);
        self.sources.add_lookup(event, &mut |source| {
            keep(&mut self.failed, self.writers.sources.write(&source));
        });
    }

    /// Says once of each filter that its time is over.
    fn tell_expired(&mut self, now: Timestamp) {
        let tell = self.tell;
        self.filters.advance(now, &mut |filter| {
            tell(&format!(
                "warning: the filter {}:{} of '{}' expired on {} and filters no longer; {} answers for it ({})\n",
                filter.file,
                filter.line,
                filter.rule,
                filter.expires.to_date(),
                filter.owner,
                filter.reason
            ));
        });
    }

    /// Says where many sensors are looked after how this one is; without a packet it has nothing to say.
    fn report_sensor(&mut self) {
        if self.writers.sensors.is_none() || self.stats.capture.first.is_none() {
            return;
        }
        self.stats.rows = self.aggregator.stats;
        let record = SensorRecord::of(&self.sensor, &self.stats);
        keep(&mut self.failed, self.writers.sensors.write(&record));
    }

    /// What goes into the network does not wait for more.
    fn hand_over(&mut self) {
        for writer in self.writers.all() {
            keep(&mut self.failed, writer.hand_over());
        }
    }

    fn flush(&mut self) {
        for writer in self.writers.all() {
            keep(&mut self.failed, writer.flush());
        }
    }
}

/// Where rows go: to their places, and to be scored where somebody asked for it.
struct RowsOut<'a> {
    scorer: &'a mut Scorer,
    writers: &'a mut Writers,
    failed: &'a mut Option<SinkError>,
}

impl RowsOut<'_> {
    fn take(&mut self, row: &Row, sources: &Sources) {
        keep(self.failed, self.writers.rows.write(row));
        if row.held_back {
            return;
        }
        if self.writers.risk.is_none() {
            self.scorer.stats.rows_not_asked += 1;
            return;
        }
        let role_of = |address, latest| sources.role_of(address, latest);
        let (writers, failed) = (&mut *self.writers, &mut *self.failed);
        self.scorer.take(row, &role_of, &mut |event| {
            keep(failed, writers.risk.write(&event))
        });
    }

    /// The rows that came together are all here.
    fn close(&mut self) {
        let (writers, failed) = (&mut *self.writers, &mut *self.failed);
        self.scorer
            .close(&mut |event| keep(failed, writers.risk.write(&event)));
    }
}

/// The hits of the rules that run and speak, by their names, and of those that did.
fn hits_by_name(rules: &Rules, hits: &[u64], before: &[HitsOfRule]) -> Vec<RuleHits> {
    let speaking = rules
        .running()
        .filter(|(place, _)| !rules.is_silent(*place));
    let mut list: Vec<RuleHits> = speaking
        .map(|(place, rule)| RuleHits {
            rule: rule.name.clone(),
            hits: hits.get(place).copied().unwrap_or(0),
        })
        .collect();
    for earlier in before {
        match list.iter_mut().find(|other| other.rule == earlier.name) {
            Some(other) => other.hits += earlier.hits,
            None => list.push(RuleHits {
                rule: earlier.name.clone(),
                hits: earlier.hits,
            }),
        }
    }
    list
}

/// Adds the hits of a rule to those of the same name and techniques.
fn add_hits(list: &mut Vec<HitsOfRule>, rule: &Rule, hits: u64) {
    let same = list
        .iter_mut()
        .find(|other| other.name == rule.name && other.attack == rule.attack);
    if let Some(other) = same {
        other.hits += hits;
    } else if list.len() < HITS_BEFORE {
        list.push(HitsOfRule {
            name: rule.name.clone(),
            attack: rule.attack.clone(),
            hits,
        });
    }
}

/// Keeps the first failure.
fn keep(failed: &mut Option<SinkError>, result: Result<(), SinkError>) {
    if let Err(error) = result
        && failed.is_none()
    {
        *failed = Some(error);
    }
}
