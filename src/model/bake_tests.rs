use super::*;

const MINUTE: Duration = Duration::from_secs(60);
/// A hundred thousand series for a minute, in weeks: ten alerts are allowed.
const ALLOWED_MS: u64 = 100_000 * 60_000;

/// What comes in a minute: so many alerts, and scores at these places.
fn minute(alerts: u64, shares: [u64; 3]) -> Counts {
    let mut scores = [0; 16];
    scores[..3].copy_from_slice(&shares.map(|share| share * 1_000));
    Counts { alerts, allowed_ms: ALLOWED_MS, not_finite: 0, scores }
}

const CALM: [u64; 3] = [80, 15, 5];

struct World {
    bake: Bake,
    now: Instant,
    counts: Counts,
}

impl World {
    fn new() -> Self {
        Self { bake: Bake::new(15 * MINUTE), now: Instant::now(), counts: Counts::default() }
    }

    /// Minutes that pass like `minute`; gives the fault that is found, and after how many.
    fn pass(&mut self, minutes: usize, minute: Counts) -> Option<(Fault, usize)> {
        for passed in 1..=minutes {
            self.now += MINUTE;
            let add = |a: u64, b: u64| a + b;
            self.counts = Counts {
                alerts: add(self.counts.alerts, minute.alerts),
                allowed_ms: add(self.counts.allowed_ms, minute.allowed_ms),
                not_finite: add(self.counts.not_finite, minute.not_finite),
                scores: std::array::from_fn(|at| add(self.counts.scores[at], minute.scores[at])),
            };
            let found = self.bake.judge(self.now, self.counts);
            self.bake.note(self.now, self.counts);
            if let Some((fault, _)) = found {
                return Some((fault, passed));
            }
        }
        None
    }

    fn swap(&mut self) {
        let previous = Previous { model: Arc::new(Model::builtin()), content: Digest::of(b"new") };
        self.bake.begin(self.now, self.counts, previous, false);
    }
}

#[test]
fn c8_a_model_that_does_as_before_stays_and_is_watched_no_longer() {
    let mut world = World::new();
    assert_eq!(world.pass(60, minute(10, CALM)), None);
    world.swap();
    assert!(world.bake.is_on());
    assert_eq!(world.pass(14, minute(12, CALM)), None);
    assert!(world.bake.is_on());
    assert_eq!(world.pass(1, minute(12, CALM)), None);
    assert!(!world.bake.is_on());
    // What comes later is no fault of the model's.
    assert_eq!(world.pass(60, minute(500, CALM)), None);
}

#[test]
fn c8_one_that_alerts_more_than_three_times_as_often_goes_back_within_five_minutes() {
    let mut world = World::new();
    world.pass(60, minute(10, CALM));
    world.swap();
    assert_eq!(world.pass(3, minute(25, CALM)), None);
    let (fault, minutes) = world.pass(5, minute(90, CALM)).unwrap();
    assert!(matches!(fault, Fault::Alerts { .. }) && minutes <= 5, "{fault} {minutes}");
    assert!(!world.bake.is_on());
}

#[test]
fn c8_where_no_alert_came_before_the_budget_counts() {
    let mut world = World::new();
    world.pass(15, minute(0, CALM));
    world.swap();
    assert_eq!(world.pass(5, minute(10, CALM)), None);
    assert!(matches!(world.pass(5, minute(30, CALM)), Some((Fault::Alerts { .. }, 1..=5))));
    // A few alerts of a few series are none of it: three where a hundredth is allowed might be one incident.
    let mut world = World::new();
    world.pass(15, Counts { allowed_ms: 6_000_000, ..Counts::default() });
    world.swap();
    let few = Counts { alerts: 1, allowed_ms: 6_000_000, ..Counts::default() };
    assert_eq!(world.pass(1, few), None);
}

#[test]
fn c8_scores_that_are_distributed_otherwise_go_back() {
    let mut world = World::new();
    world.pass(15, minute(10, CALM));
    world.swap();
    assert_eq!(world.pass(5, minute(10, [60, 30, 10])), None);
    let (fault, _) = world.pass(15, minute(10, [10, 60, 30])).unwrap();
    assert_eq!(fault.reason(), "distribution");
}

#[test]
fn c8_a_score_that_is_no_number_goes_back_at_once() {
    let mut world = World::new();
    world.pass(10, minute(10, CALM));
    world.swap();
    let broken = Counts { not_finite: 1, ..minute(10, CALM) };
    assert_eq!(world.pass(5, broken), Some((Fault::NotFinite(1), 1)));
}

#[test]
fn without_a_measure_only_a_score_that_is_no_number_speaks_against_a_model() {
    let mut world = World::new();
    world.pass(5, minute(0, CALM));
    world.swap();
    assert_eq!(world.pass(5, minute(900, [0, 0, 100])), None, "it starts into an incident");
    let broken = Counts { not_finite: 2, ..minute(10, CALM) };
    assert_eq!(world.pass(1, broken), Some((Fault::NotFinite(2), 1)));
    // What somebody went back to does otherwise than the bad one: that is why.
    let mut world = World::new();
    world.pass(60, minute(0, CALM));
    let previous = Previous { model: Arc::new(Model::builtin()), content: Digest::of(b"old") };
    world.bake.begin(world.now, world.counts, previous, true);
    assert_eq!(world.pass(14, minute(90, [0, 50, 50])), None);
}

#[test]
fn who_is_watched_is_nobody_to_go_back_to() {
    let mut world = World::new();
    world.pass(60, minute(10, CALM));
    world.swap();
    world.pass(3, minute(10, CALM));
    let second = Arc::new(Model { number: 2, ..Model::builtin() });
    let previous = Previous { model: second, content: Digest::of(b"third") };
    world.bake.begin(world.now, world.counts, previous, false);
    world.now += MINUTE;
    let mut counts = world.counts;
    (counts.alerts, counts.allowed_ms) = (counts.alerts + 900, counts.allowed_ms + ALLOWED_MS);
    let (fault, previous) = world.bake.judge(world.now, counts).unwrap();
    assert!(matches!(fault, Fault::Alerts { .. }));
    assert_eq!(
        (previous.model.number, previous.content),
        (0, Digest::of(b"third")),
        "the first; the third is bad"
    );
}

#[test]
fn an_hour_is_the_measure_and_no_more_is_kept() {
    let mut world = World::new();
    world.pass(60, minute(1_000, CALM));
    world.pass(120, minute(10, CALM));
    assert!(world.bake.history.len() <= 61);
    world.swap();
    assert!(world.pass(5, minute(90, CALM)).is_some(), "what came hours ago is no measure");
}

#[test]
fn chance_is_poissons() {
    // scipy.stats.poisson.sf(count - 1, expected)
    let check = |count, expected, want: f64| {
        let ours = chance_of(count, expected);
        assert!((ours - want).abs() < 1e-9, "{count} of {expected}: {ours}");
    };
    check(0, 3.0, 1.0);
    check(1, 0.01, 0.009_950_166_250_831_947);
    check(10, 3.0, 0.001_102_488_130_115_481_5);
    check(1_200, 1_000.0, 4.684_203_855_872e-10);
}
