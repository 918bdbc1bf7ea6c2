//! One scrape after the other: page, parser, corridor, judge.

use std::collections::{HashMap, VecDeque};

use super::board::{Balance, Board, Delay, Happening, Notice, Phase, Title, UnderWay};
use super::corridor::{Corridor, CorridorError, Said};
use super::summary::{Delays, Summary};
use super::witness::{Made, Witness};
use crate::batch::Sample;
use crate::rules::Kind as RuleKind;
use crate::series::labels::{METRIC_NAME, SeriesLabels};
use crate::signals::Signal;
use crate::simulate::exposition::{Exporter, Format};
use crate::simulate::synth::{Event, Fleet, FleetOptions, Kind};
use crate::simulate::verdict::{Found, Injected, Judge, Scored, Verdict};
use crate::terminal::Row;

/// What the demo plays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Play {
    /// The fleet; its quiet time is what the demo learns from.
    pub fleet: FleetOptions,
    /// Milliseconds of stream time from one scrape to the next.
    pub step_ms: i64,
    /// Where scores begin to count, Unix milliseconds of stream time.
    pub live_from_ms: i64,
}

/// The demo without its clock and its terminal.
#[derive(Debug)]
pub struct Demo {
    play: Play,
    exporter: Exporter,
    corridor: Corridor,
    text: String,
    /// Those of the page come first.
    on_page: usize,
    made: Vec<Option<Made>>,
    /// The series by number, as the table names them, and what was last seen of each.
    names: Vec<String>,
    latest: Vec<Latest>,
    judge: Judge,
    /// Hears of each event only the signal that is there for it.
    of_signals: Judge,
    /// Every event announced, by its id, which is its place.
    announced: Vec<Event>,
    found: HashMap<u64, Found>,
    lately: VecDeque<Notice>,
    samples: u64,
}

/// What was last seen of one series.
#[derive(Clone, Debug)]
struct Latest {
    signal: Signal,
    sample: Option<Sample>,
    value: Option<f64>,
    said: Option<Said>,
}

/// Why the demo stopped.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The exporter could not write its page.
    #[error("the exporter cannot write its page")]
    Page(#[from] std::fmt::Error),
    /// The corridor could not take it.
    #[error("the page cannot be scored")]
    Corridor(#[from] CorridorError),
    /// The terminal went away.
    #[error("cannot draw on the terminal")]
    Terminal(#[from] std::io::Error),
}

/// Milliseconds of stream time after an event's end in which an alert still belongs to it: the way back to
/// the usual is as sudden as the way out of it.
pub const GRACE_MS: i64 = 15 * 60_000;
/// Notices that are kept for the table.
const LATELY: usize = 8;
/// Rows of the table.
const ROWS: usize = 12;

// === impl Demo ===

impl Demo {
    /// A demo before its first scrape.
    ///
    /// # Errors
    ///
    /// Rules that do not compile.
    pub fn new(play: Play) -> Result<Self, DemoError> {
        let exporter = Exporter::new(Fleet::new(play.fleet), false);
        let series = exporter.fleet().series();
        let signal = |name: &str| if RuleKind::Auto.is_counter(name) { Signal::Rate } else { Signal::Value };
        Ok(Self {
            corridor: Corridor::new(series)?,
            names: series.iter().map(short_name).collect(),
            latest: series.iter().map(|series| Latest::new(signal(&series.name()))).collect(),
            text: String::new(),
            on_page: series.len(),
            made: Vec::new(),
            judge: Judge::new(GRACE_MS),
            of_signals: Judge::new(GRACE_MS),
            announced: Vec::new(),
            found: HashMap::new(),
            lately: VecDeque::new(),
            samples: 0,
            exporter,
            play,
        })
    }

    /// When the next scrape is due, Unix milliseconds of stream time.
    pub fn next_ms(&self) -> i64 {
        self.exporter.fleet().now_ms() + self.play.step_ms
    }

    /// Whether scores count by now.
    pub fn is_live(&self) -> bool {
        self.exporter.fleet().now_ms() >= self.play.live_from_ms
    }

    /// The share of the learning that is done, 0 to 1.
    pub fn learned(&self) -> f64 {
        let (start, now) = (self.play.fleet.start_ms, self.exporter.fleet().now_ms());
        let all = (self.play.live_from_ms - start).max(1);
        ((now - start) as f64 / all as f64).min(1.0)
    }

    /// Scrapes the exporter once, a step later than before, and returns what happened, oldest first.
    ///
    /// # Errors
    ///
    /// A page that could not be written, parsed or scored.
    pub fn scrape(&mut self) -> Result<Vec<Notice>, DemoError> {
        let at_ms = self.next_ms();
        self.exporter.page_at(at_ms, Format::Text, &mut self.text)?;
        let mut notices = self.announce();
        let exported: Vec<usize> = self.exporter.exported().collect();
        let said = self.corridor.score(&self.text, at_ms, exported.len())?;
        self.samples += said.said.len() as u64;
        for (number, sample) in exported.into_iter().zip(&said.samples) {
            self.latest[number].see(*sample);
        }
        said.met.iter().for_each(|labels| self.meet(labels));
        for &(number, said) in &said.said {
            self.latest[number].said = Some(said);
            if at_ms >= self.play.live_from_ms {
                self.weigh(Scored { series: number, timestamp_ms: at_ms, score: said.score }, &mut notices);
            }
        }
        self.of_signals.close_until(at_ms);
        let missed = self.judge.close_until(at_ms);
        notices.extend(missed.iter().map(|id| Notice { at_ms, what: Happening::Missed(self.title(*id)) }));
        for notice in &notices {
            self.lately.push_front(notice.clone());
        }
        self.lately.truncate(LATELY);
        Ok(notices)
    }

    fn announce(&mut self) -> Vec<Notice> {
        let fleet = self.exporter.fleet();
        let next = self.announced.len() as u64;
        let begun: Vec<Event> = fleet.events().filter(|event| event.id >= next).cloned().collect();
        for event in &begun {
            let Event { id, start_ms, end_ms, .. } = *event;
            let struck = self.made_where(|made| made.is_struck_by(event));
            let series = fleet.struck_by(event).chain(struck).collect();
            self.judge.expect(Injected { id, start_ms, end_ms, series });
            if Witness::of_event(event).is_some() {
                let series = self.made_where(|made| made.is_for(event)).collect();
                self.of_signals.expect(Injected { id, start_ms, end_ms, series });
            }
        }
        let notices =
            begun.iter().map(|event| Notice { at_ms: event.start_ms, what: Happening::Began(title(event)) });
        let notices = notices.collect();
        self.announced.extend(begun);
        notices
    }

    /// Takes in a series that is on no page.
    fn meet(&mut self, labels: &SeriesLabels) {
        let number = self.latest.len();
        let made = Made::of(labels, self.exporter.fleet());
        if let Some(made) = &made {
            let event = |id: u64| &self.announced[id as usize];
            self.judge.meet(number, |id| made.is_struck_by(event(id)));
            self.of_signals.meet(number, |id| made.is_for(event(id)));
        }
        let values = labels.scored().filter(|(name, _)| *name != METRIC_NAME).map(|(_, value)| value);
        self.names.push(format!("{}{{{}}}", labels.metric_name(), values.collect::<Vec<_>>().join(",")));
        self.latest.push(Latest::new(Signal::Value));
        self.made.push(made);
    }

    /// The numbers of the series that are on no page and that `is_meant`.
    fn made_where(&self, is_meant: impl Fn(&Made) -> bool) -> impl Iterator<Item = usize> {
        let made = self.made.iter().enumerate().map(|(at, made)| (self.on_page + at, made));
        made.filter(move |(_, made)| made.as_ref().is_some_and(&is_meant)).map(|(number, _)| number)
    }

    fn weigh(&mut self, scored: Scored, notices: &mut Vec<Notice>) {
        let at_ms = scored.timestamp_ms;
        self.of_signals.weigh(scored);
        let ruling = self.judge.weigh(scored);
        for found in ruling.found {
            let what = Happening::Found(self.title(found.id), self.delay(&found));
            notices.push(Notice { at_ms, what });
            self.found.insert(found.id, found);
        }
        if ruling.is_false {
            let what = Happening::False(self.names[scored.series].clone());
            notices.push(Notice { at_ms, what });
        }
    }

    /// The balance so far.
    pub fn verdict(&self) -> Verdict {
        self.judge.verdict()
    }

    /// What event `id` is called.
    pub fn title(&self, id: u64) -> Title {
        title(&self.announced[id as usize])
    }

    /// Every event that has begun.
    pub fn events(&self) -> &[Event] {
        &self.announced
    }

    fn delay(&self, found: &Found) -> Delay {
        let series = self.names[found.series].clone();
        Delay { samples: found.delay_samples, ms: found.delay_ms, series }
    }

    /// The table of this moment; `phase` and `speed` are the clock's to know.
    pub fn board(&self, phase: Phase, speed: f64) -> Board {
        let fleet = self.exporter.fleet();
        let verdict = self.verdict();
        Board {
            seed: self.play.fleet.seed,
            instances: self.play.fleet.instances,
            stream_ms: fleet.now_ms(),
            speed,
            phase,
            series: self.on_page,
            scored: self.corridor.scored_series(),
            samples: self.samples,
            balance: Balance {
                injected: self.announced.len(),
                found: verdict.found.len(),
                missed: verdict.missed.len(),
                pending: verdict.pending.len(),
                false_alerts: verdict.false_alerts,
            },
            under_way: fleet.active().map(|event| self.under_way(event)).collect(),
            top: self.top(),
            lately: self.lately.iter().cloned().collect(),
        }
    }

    /// What came of it.
    pub fn summary(&self) -> Summary {
        let board = self.board(Phase::default(), 0.0);
        let verdict = self.verdict();
        let missed =
            verdict.missed.iter().map(|&id| (self.title(id), self.announced[id as usize].start_ms)).collect();
        Summary {
            stream_ms: (board.stream_ms - self.play.live_from_ms).max(0),
            scored: board.scored,
            series: board.series,
            samples: board.samples,
            balance: board.balance,
            by_kind: Kind::ALL.iter().filter_map(|kind| self.of_kind(*kind, &verdict)).collect(),
            by_signal: Witness::ALL.into_iter().filter_map(|witness| self.of_signal(witness)).collect(),
            delay: Delays::of(&verdict),
            missed,
        }
    }

    /// Of the events of `kind` that were found or are over: how many were found, and how many there are.
    fn of_kind(&self, kind: Kind, verdict: &Verdict) -> Option<(Kind, usize, usize)> {
        let (found, all) = self.share(verdict, |event| event.kind == kind);
        (all > 0).then_some((kind, found, all))
    }

    /// Of the events that `witness` is there for: how many it found, and how many there are.
    fn of_signal(&self, witness: Witness) -> Option<(Witness, usize, usize)> {
        let (found, all) =
            self.share(&self.of_signals.verdict(), |event| Witness::of_event(event) == Some(witness));
        (all > 0).then_some((witness, found, all))
    }

    fn share(&self, verdict: &Verdict, is_meant: impl Fn(&Event) -> bool) -> (usize, usize) {
        let is_meant = |id: &u64| is_meant(&self.announced[*id as usize]);
        let found = verdict.found.iter().filter(|found| is_meant(&found.id)).count();
        (found, found + verdict.missed.iter().filter(|id| is_meant(id)).count())
    }

    fn under_way(&self, event: &Event) -> UnderWay {
        let found = self.found.get(&event.id).map(|found| self.delay(found));
        UnderWay { title: title(event), since_ms: event.start_ms, found }
    }

    fn top(&self) -> Vec<Row> {
        let score = |number: usize| self.latest[number].said.map(|said| said.score);
        let mut scored: Vec<(usize, f64)> =
            (0..self.latest.len()).filter_map(|number| Some((number, score(number)?))).collect();
        // Stable, so that equals keep their places from frame to frame.
        scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        scored.iter().take(ROWS).map(|&(number, score)| self.row(number, score)).collect()
    }

    fn row(&self, number: usize, score: f64) -> Row {
        let fleet = self.exporter.fleet();
        let latest = &self.latest[number];
        Row {
            series: self.names[number].clone(),
            score,
            value: latest.value,
            expected: latest.said.and_then(|said| said.expected),
            is_rate: latest.signal == Signal::Rate,
            is_struck: fleet.active().any(|event| self.strikes(event, number)),
        }
    }
}

impl Demo {
    fn strikes(&self, event: &Event, number: usize) -> bool {
        match number.checked_sub(self.on_page) {
            None => self.exporter.fleet().series()[number].is_struck_by(event),
            Some(at) => self.made[at].as_ref().is_some_and(|made| made.is_struck_by(event)),
        }
    }
}

// === impl Latest ===

impl Latest {
    fn new(signal: Signal) -> Self {
        Self { signal, sample: None, value: None, said: None }
    }

    fn see(&mut self, sample: Sample) {
        self.value = self.signal.at(self.sample, sample);
        self.sample = Some(sample);
    }
}

fn title(event: &Event) -> Title {
    Title { kind: event.kind, channel: event.channel, target: event.target() }
}

/// A series in few characters: its name and the values of its labels.
fn short_name(series: &crate::simulate::synth::Series) -> String {
    let values: Vec<&str> = series.labels.iter().map(|(_, value)| value.as_str()).collect();
    format!("{}{{{}}}", series.name(), values.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::synth::{Channel, MONDAY_MS, Plan};

    const HOUR_MS: i64 = 3_600_000;
    const LEARNT_MS: i64 = MONDAY_MS + 56 * HOUR_MS;

    /// Learns until Wednesday, eight o'clock, and plays until six in the evening.
    fn played(seed: u64, every_ms: i64) -> (Demo, Vec<Notice>) {
        let plan = Plan { quiet_ms: LEARNT_MS - MONDAY_MS + 900_000, every_ms, kinds: Kind::OF_SERIES };
        let fleet = FleetOptions { seed, instances: 2, start_ms: MONDAY_MS, plan };
        let mut demo = Demo::new(Play { fleet, step_ms: 120_000, live_from_ms: LEARNT_MS }).unwrap();
        let mut notices = Vec::new();
        while demo.next_ms() <= LEARNT_MS + 10 * HOUR_MS {
            notices.extend(demo.scrape().unwrap());
        }
        (demo, notices)
    }

    #[test]
    fn most_of_what_is_injected_is_found_and_little_else() {
        let summary = played(1, HOUR_MS).0.summary();
        let Balance { injected, found, missed, pending, false_alerts } = summary.balance;
        assert_eq!(found + missed + pending, injected);
        assert!(injected >= 6 && 2 * found > injected, "{summary}");
        assert!(false_alerts <= 3, "{summary}");
        assert!(summary.delay.is_some_and(|delay| delay.median_samples <= 5), "{summary}");
    }

    #[test]
    fn a_calm_fleet_alerts_nobody() {
        let (demo, notices) = played(2, 0);
        assert_eq!(demo.verdict(), Verdict::default());
        assert_eq!(notices, []);
        assert!(demo.board(Phase::default(), 1.0).scored > 50);
    }

    #[test]
    fn the_presets_select_series_of_every_channel() {
        let (demo, _) = played(2, 0);
        let fleet = demo.exporter.fleet();
        let scored = |channel: Channel| {
            let of_channel = |number: &usize| fleet.series()[*number].channel == channel;
            (0..demo.on_page).filter(of_channel).filter(|&number| demo.latest[number].said.is_some()).count()
        };
        let struck = Kind::OF_SERIES.iter().flat_map(|kind| kind.channels());
        for channel in struck {
            assert!(scored(*channel) >= 2, "{channel:?}");
        }
    }

    #[test]
    fn each_kind_of_signal_finds_what_was_injected_for_it() {
        let plan =
            Plan { quiet_ms: LEARNT_MS - MONDAY_MS + 900_000, every_ms: HOUR_MS / 2, kinds: Kind::ALL };
        let fleet = FleetOptions { seed: 4, instances: 6, start_ms: MONDAY_MS, plan };
        let mut demo = Demo::new(Play { fleet, step_ms: 60_000, live_from_ms: LEARNT_MS }).unwrap();
        while demo.next_ms() <= LEARNT_MS + 24 * HOUR_MS {
            demo.scrape().unwrap();
        }
        let summary = demo.summary();
        let told: Vec<Witness> = summary.by_signal.iter().map(|(witness, ..)| *witness).collect();
        assert_eq!(told, Witness::ALL, "{summary}");
        assert!(summary.by_signal.iter().all(|(_, found, all)| 3 * found >= 2 * all), "{summary}");
    }

    #[test]
    fn the_same_seed_plays_the_same() {
        let (first, notices) = played(3, 2 * HOUR_MS);
        let (second, again) = played(3, 2 * HOUR_MS);
        assert_eq!(first.summary(), second.summary());
        assert_eq!(notices, again);
        assert_eq!(first.board(Phase::default(), 1.0), second.board(Phase::default(), 1.0));
    }

    #[test]
    fn the_table_shows_what_was_scored_and_expected() {
        let (demo, _) = played(2, 0);
        let board = demo.board(Phase::Live(1.0, 2.0), 900.0);
        let load = board.top.iter().find(|row| row.value.is_some_and(|value| value > 0.0)).unwrap();
        let expected = load.expected.unwrap();
        assert!(expected.lower <= expected.value && expected.value <= expected.upper);
        assert_eq!(board.top.len(), ROWS);
        assert!(board.top.is_sorted_by(|a, b| a.score >= b.score));
    }
}
