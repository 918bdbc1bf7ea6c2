//! F10, T11: whatever happens on the way, a series' scores arrive in their order, and none twice.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::config::units::{ByteSize, PromDuration};

/// The scores that were taken, in the order in which they were.
type Taken = Arc<Mutex<Vec<(String, String, i64)>>>;

/// A downstream with a mind of its own, always the same one for one seed.
fn moody(seed: u64, taken: &Taken) -> impl FnMut(&Seen) -> Reply + Send + 'static {
    let (mut rng, taken) = (SmallRng::seed_from_u64(seed), Arc::clone(taken));
    move |seen| {
        let points = points(seen);
        let after = Duration::from_millis(rng.random_range(0..400));
        let reply = match rng.random_range(0..10) {
            0 => Reply::status(500),
            1 => Reply::status(503).with("retry-after", "2"),
            2 => Reply::status(429).with("retry-after", "1"),
            3 => Reply::lost(),
            4 if points.len() > 5 => Reply::status(413),
            5 if seen.header("content-type").contains("v2") => Reply::status(415),
            _ => {
                let tenant = seen.header("x-scope-orgid").to_owned();
                taken.lock().extend(points.into_iter().map(|(name, at)| (tenant.clone(), name, at)));
                written()
            }
        };
        reply.after(after)
    }
}

/// No series goes back in time, and none has a score twice.
fn check(taken: &Taken, seed: u64) {
    let mut last = BTreeMap::new();
    for (tenant, name, at) in taken.lock().iter() {
        let before = last.insert((tenant.clone(), name.clone()), *at);
        assert!(
            before.is_none_or(|before| before < *at),
            "{name} of {tenant}: {before:?} then {at}, seed {seed}"
        );
    }
    assert!(!last.is_empty());
}

fn config(rng: &mut SmallRng) -> sections::Scores {
    sections::Scores {
        batch_size: rng.random_range(1..40),
        max_request_size: ByteSize::from_bytes(rng.random_range(200..4_000)),
        batch_interval: PromDuration::from_millis(rng.random_range(20..800)),
        yield_for: PromDuration::from_secs(1),
        ..sections::Scores::default()
    }
}

#[tokio::test(start_paused = true)]
async fn f10_t11_no_score_overtakes_another_of_its_series() {
    for seed in 0..8 {
        let (taken, mut rng) = (Taken::default(), SmallRng::seed_from_u64(seed));
        let world = World::with(moody(seed, &taken), Protocol::Auto, config(&mut rng));
        let mut sent = 0;
        for at in 0..200 {
            for tenant in ["ant", "bee"] {
                world.send(tenant, &["a", "b", "c"], at);
                sent += 3;
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..100))).await;
        }
        world.settled(sent - world.metrics.yielded.get()).await;
        check(&taken, seed);
    }
}

#[tokio::test(start_paused = true)]
async fn f10_t11_nor_does_it_when_the_configuration_is_reloaded() {
    for seed in 0..8 {
        let (taken, mut rng) = (Taken::default(), SmallRng::seed_from_u64(seed));
        let world = World::with(moody(seed, &taken), Protocol::Auto, config(&mut rng));
        let other = Script::new(moody(seed + 1_000, &taken));
        let mut sent = 0;
        for at in 0..400 {
            world.send("ant", &["a", "b", "c"], at);
            sent += 3;
            if rng.random_bool(0.1) {
                let protocol = [Protocol::Auto, Protocol::V1, Protocol::V2][rng.random_range(0..3)];
                let (url, script) = match rng.random_bool(0.5) {
                    true => ("http://downstream/", &world.script),
                    false => ("http://another/", &other),
                };
                world.forwarder.reroute(route(url, script, protocol, config(&mut rng)));
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..100))).await;
        }
        world.settled(sent - world.metrics.yielded.get()).await;
        check(&taken, seed);
        assert_eq!(world.forwarder.shared.lanes.len(), 1, "and there is one lane for all");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_pauses_of_the_same_receiver() {
    let world = World::new(|_| Reply::status(204));
    world.forwarder.yield_to_samples(&key("ant"), None);
    let (same, another) = ("http://downstream/", "http://another/");
    world.forwarder.reroute(route(same, &world.script, Protocol::V1, sections::Scores::default()));
    world.send("ant", &["level"], 1);
    assert_eq!(world.metrics.yielded.get(), 1, "it is the same tenant's limit");
    world.forwarder.reroute(route(another, &world.script, Protocol::V1, sections::Scores::default()));
    world.send("ant", &["level"], 2);
    world.settled(1).await;
    assert_eq!(world.metrics.sent.get(), 1, "another receiver has not refused anything");
}

#[tokio::test(start_paused = true)]
async fn scores_in_retry_go_to_another_receiver_at_once() {
    let world = World::new(|_| Reply::status(503).with("retry-after", "600"));
    world.send("ant", &["level"], 1);
    world.send("ant", &["level"], 2);
    world.script.until(|seen| seen.len() == 1).await;
    world.forwarder.reroute(route(
        "http://downstream/",
        &world.script,
        Protocol::V1,
        sections::Scores::default(),
    ));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.script.seen().len(), 1, "the same receiver has the time that it asked for");
    let other = Script::new(|_| Reply::status(204));
    world.forwarder.reroute(route("http://another/", &other, Protocol::V1, sections::Scores::default()));
    let seen = other.until(|seen| !seen.is_empty()).await;
    assert_eq!(points(&seen[0]), [("level".to_owned(), 1), ("level".to_owned(), 2)]);
    world.settled(2).await;
    assert_eq!(world.metrics.sent.get(), 2);
}
