//! How long a score request may be (T6).

use super::*;
use crate::config::units::ByteSize;

/// Both versions, each with its receiver's yes.
const VERSIONS: [Protocol; 2] = [Protocol::V1, Protocol::V2];

/// Scores of `count` series with labels that have nothing in common.
fn different(world: &World, count: usize) -> Vec<ScoreSample> {
    let label = |n: usize| {
        format!("{:064x}", (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    };
    let score = |n: usize| {
        let labels = [("__name__", &*format!("level_{n}")), ("pod", &*label(n))]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let pairs: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        ScoreSample {
            labels: Arc::new(SeriesLabels::of_scored(&pairs, &world.interner)),
            name: world.name,
            sample: Sample { timestamp_ms: n as i64, value: 0.5 },
        }
    };
    (0..count).map(score).collect()
}

fn in_order(world: &World, count: usize) {
    let refused = |seen: &&Seen| points(seen).len() > 1;
    let taken: Vec<_> =
        world.script.seen().iter().filter(refused).flat_map(points).map(|(_, at)| at).collect();
    assert_eq!(taken, (0..count as i64).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_score_request_is_no_longer_than_max_request_size() {
    for protocol in VERSIONS {
        let config =
            sections::Scores { max_request_size: ByteSize::from_kib(4), ..sections::Scores::default() };
        let world = World::with(|_| written(), protocol, config);
        world.give("ant", &different(&world, 2_000), false);
        world.settled(2_000).await;
        let seen = world.script.seen();
        assert!(seen.iter().all(|request| request.body.len() <= 4 << 10), "{protocol:?}");
        assert!(seen.len() > 10 && seen.len() < 200, "{protocol:?}: {}", seen.len());
        in_order(&world, 2_000);
        assert_eq!(world.metrics.sent.get(), 2_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_score_that_is_longer_by_itself_is_the_downstreams_to_judge() {
    for protocol in VERSIONS {
        let config =
            sections::Scores { max_request_size: ByteSize::from_bytes(64), ..sections::Scores::default() };
        let world = World::with(|_| written(), protocol, config);
        world.give("ant", &different(&world, 3), false);
        world.settled(3).await;
        assert_eq!((world.script.seen().len(), world.metrics.sent.get()), (3, 3), "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn t6_a_413_is_answered_by_halves() {
    for protocol in VERSIONS {
        let taken = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let (taker, config) = (Arc::clone(&taken), sections::Scores::default());
        let say = move |seen: &Seen| {
            let points = points(seen);
            if points.len() > 300 {
                return Reply::status(413).text("the limit is 300");
            }
            taker.lock().extend(points.into_iter().map(|(_, at)| at));
            written()
        };
        let world = World::with(say, protocol, config);
        world.give("ant", &different(&world, 2_000), false);
        world.settled(2_000).await;
        assert_eq!(*taken.lock(), (0..2_000).collect::<Vec<_>>(), "{protocol:?}: all of them, in order");
        assert_eq!(world.script.seen().len(), 15, "2000, 2 x 1000, 4 x 500, 8 x 250");
        assert_eq!(world.metrics.sent.get(), 2_000);
        assert!(world.script.seen().iter().all(|seen| seen.header("retry-attempt").is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn t6_a_413_for_everything_ends() {
    for protocol in VERSIONS {
        let world = World::with(|_| Reply::status(413), protocol, sections::Scores::default());
        world.give("ant", &different(&world, 2_000), false);
        world.settled(2_000).await;
        assert_eq!(world.script.seen().len(), 63, "{protocol:?}");
        assert_eq!(world.metrics.too_large.get(), 2_000);
        assert_eq!(world.metrics.queued_bytes.get(), 0);
        world.script.set(|_| written());
        world.send("ant", &["level"], 1);
        world.settled(2_001).await;
        assert_eq!(world.metrics.sent.get(), 1, "{protocol:?}: what follows is not held up");
    }
}

#[tokio::test(start_paused = true)]
async fn f16_what_is_too_long_is_cut_at_the_end_too() {
    for protocol in VERSIONS {
        let config =
            sections::Scores { max_request_size: ByteSize::from_kib(4), ..sections::Scores::default() };
        let world = World::with(|_| written(), protocol, config);
        world.give("ant", &different(&world, 400), false);
        world.stop.cancel();
        world.forwarder.drained().await;
        assert!(world.script.seen().iter().all(|request| request.body.len() <= 4 << 10), "{protocol:?}");
        in_order(&world, 400);
    }
}
