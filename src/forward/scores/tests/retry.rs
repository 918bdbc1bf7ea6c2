//! What is tried again, when, and what is not.

use tokio::time::Instant;

use super::*;

/// The pauses between requests.
fn gaps(seen: &[Seen]) -> Vec<Duration> {
    seen.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}

/// Refuses with `reply` so many times, then takes everything.
fn refusing(times: usize, reply: Reply) -> impl FnMut(&Seen) -> Reply + Send + 'static {
    let mut left = times;
    move |_| {
        let refuses = left > 0;
        left = left.saturating_sub(1);
        if refuses { reply.clone() } else { Reply::status(204) }
    }
}

#[tokio::test(start_paused = true)]
async fn f1_every_request_has_the_four_headers_and_its_tenant_and_credentials() {
    let world = World::new(|_| Reply::status(204));
    let authorization = Some(HeaderValue::from_static("Bearer shown"));
    let key = LaneKey { authorization, ..key("ant") };
    let mut outbox = world.forwarder.outbox(&key, 1, Tape::default());
    let score = world.scores(&["level"], 1).remove(0);
    outbox.emit(&score.labels, score.name, score.sample);
    world.forwarder.send(&key, outbox);
    let seen = world.script.until(|seen| seen.len() == 1).await;
    let wanted = [
        ("content-encoding", "snappy"),
        ("content-type", "application/x-protobuf"),
        ("x-prometheus-remote-write-version", "0.1.0"),
        ("user-agent", concat!("sidelong/", env!("CARGO_PKG_VERSION"))),
        ("x-scope-orgid", "ant"),
        ("authorization", "Bearer shown"),
    ];
    for (name, value) in wanted {
        assert_eq!(seen[0].header(name), value, "{name}");
    }
    assert_eq!(seen[0].headers.len(), wanted.len(), "and nothing else: {:?}", seen[0].headers);
}

#[tokio::test(start_paused = true)]
async fn f2_f3_t14_a_failure_is_retried_with_growing_pauses_a_cap_and_jitter() {
    for reply in
        [Reply::status(500), Reply::status(502), Reply::status(504), Reply::status(529), Reply::lost()]
    {
        let world = World::new(refusing(14, reply));
        world.send("ant", &["level"], 1);
        world.settled(1).await;
        assert_eq!(world.metrics.sent.get(), 1);
        let seen = world.script.seen();
        assert!(seen.windows(2).all(|pair| pair[0].body == pair[1].body), "the same bytes each time");
        let gaps = gaps(&seen);
        assert_eq!(gaps.len(), 14);
        assert!(gaps[0] >= Duration::from_millis(20), "{gaps:?}");
        for pair in gaps.windows(2) {
            assert!(pair[1].as_secs_f64() >= 0.8 * pair[0].as_secs_f64(), "{gaps:?}");
        }
        let longest = *gaps.iter().max().expect("some");
        assert!(longest > Duration::from_secs(4) && longest <= Duration::from_millis(5_001), "{gaps:?}");
        let capped = &gaps[gaps.len() - 5..];
        assert!(capped.iter().any(|gap| *gap != capped[0]), "jitter: {capped:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn f2_f3_what_will_never_succeed_is_sent_once() {
    for status in [300, 301, 400, 401, 403, 404, 409, 413, 415, 422] {
        let world = World::new(refusing(1, Reply::status(status)));
        world.send("ant", &["poison"], 1);
        world.settled(1).await;
        assert_eq!(world.script.seen().len(), 1, "{status}");
        assert_eq!(world.metrics.refused.get() + world.metrics.too_large.get(), 1, "{status}");
        world.send("ant", &["level"], 2);
        world.settled(2).await;
        assert_eq!(world.metrics.sent.get(), 1, "{status}: what follows is not held up");
    }
}

#[tokio::test(start_paused = true)]
async fn f4_retry_after_is_waited_for() {
    let world = World::new(refusing(1, Reply::status(503).with("retry-after", "7")));
    world.send("ant", &["level"], 1);
    world.settled(1).await;
    assert_eq!(gaps(&world.script.seen())[0].as_secs(), 7);
    let world = World::new(refusing(1, Reply::status(429).with("retry-after", "120")));
    world.send("ant", &["level"], 1);
    world.settled(1).await;
    assert_eq!(gaps(&world.script.seen())[0].as_secs(), 120);
    let world = World::new(refusing(1, Reply::status(429)));
    world.send("ant", &["level"], 1);
    world.settled(1).await;
    assert_eq!(gaps(&world.script.seen())[0].as_secs(), 60, "scores.yield_for where it does not say");
}

#[tokio::test(start_paused = true)]
async fn f5_a_repeated_request_says_which_try_it_is() {
    let world = World::new(refusing(3, Reply::status(503)));
    world.send("ant", &["level"], 1);
    world.settled(1).await;
    let seen = world.script.seen();
    assert_eq!(
        seen.iter().map(|request| request.header("retry-attempt")).collect::<Vec<_>>(),
        ["", "1", "2", "3"]
    );
    assert_eq!(world.metrics.retries.get(), 3);
    assert_eq!(world.metrics.requests.get(), 4);
}

#[tokio::test(start_paused = true)]
async fn scores_too_old_are_dropped_and_younger_ones_go() {
    let world = World::new(|_| Reply::status(503));
    let start = Instant::now();
    world.send("ant", &["old"], 1);
    world.script.until(|seen| !seen.is_empty()).await;
    tokio::time::sleep_until(start + Duration::from_secs(200)).await;
    world.send("ant", &["young"], 2);
    world.settled(1).await;
    assert_eq!(world.metrics.too_old.get(), 1);
    let lasted = start.elapsed().as_secs();
    assert!((300..=306).contains(&lasted), "five minutes, to the next try: {lasted} s");
    world.script.set(|_| Reply::status(204));
    world.settled(2).await;
    assert_eq!(points(world.script.seen().last().expect("one")), [("young".to_owned(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn f16_at_the_end_each_batch_has_one_more_try() {
    let world = World::new(|_| Reply::status(503));
    world.send("ant", &["level"], 1);
    world.script.until(|seen| !seen.is_empty()).await;
    world.send("ant", &["level"], 2);
    world.send("bee", &["level"], 3);
    world.script.set(|_| Reply::status(204));
    world.stop.cancel();
    world.forwarder.drained().await;
    assert_eq!(world.metrics.sent.get(), 3);
    assert_eq!(world.metrics.queued_bytes.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn f16_at_the_end_scores_that_give_way_still_do() {
    let world = World::new(|_| Reply::status(204));
    world.send("ant", &["level"], 1);
    world.forwarder.yield_to_samples(&key("ant"), None);
    world.stop.cancel();
    world.forwarder.drained().await;
    assert!(world.script.seen().is_empty());
    assert_eq!(world.metrics.shutdown.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn f16_an_end_without_answers_comes_all_the_same() {
    let world = World::new(|_| Reply::status(204).after(Duration::from_secs(3_600)));
    for _ in 0..10 {
        world.send_many("ant", "level", 0, 2_000);
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    world.stop.cancel();
    world.forwarder.drained().await;
    assert!(start.elapsed() <= Duration::from_secs(11), "{:?}", start.elapsed());
    assert_eq!(world.metrics.shutdown.get(), 20_000);
}
