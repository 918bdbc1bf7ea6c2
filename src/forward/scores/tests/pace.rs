//! When scores leave, and with which others.

use tokio::time::Instant;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn taker() -> World {
    World::new(|_| Reply::status(204))
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_an_anomaly_leaves_within_urgent_within() {
    let (world, start) = (taker(), Instant::now());
    world.send_urgent("ant", &["level"], 1);
    let seen = world.script.until(|seen| seen.len() == 1).await;
    assert!(seen[0].at - start <= Duration::from_millis(10), "{:?}", seen[0].at - start);
}

#[tokio::test(start_paused = true)]
async fn an_anomaly_takes_along_what_waits() {
    let (world, start) = (taker(), Instant::now());
    world.send("ant", &["calm"], 1);
    world.send_urgent("ant", &["level"], 1);
    let seen = world.script.until(|seen| seen.len() == 1).await;
    assert_eq!(points(&seen[0]), [("calm".to_owned(), 1), ("level".to_owned(), 1)]);
    assert!(seen[0].at - start <= Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn any_other_batch_leaves_after_batch_interval() {
    let (world, start) = (taker(), Instant::now());
    world.send("ant", &["level"], 1);
    let seen = world.script.until(|seen| seen.len() == 1).await;
    assert_eq!((seen[0].at - start).as_secs_f64().round(), 1.0);
    assert!(seen[0].at - start >= SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_leaves_at_once() {
    let (world, start) = (taker(), Instant::now());
    world.send_many("ant", "level", 0, 1_999);
    tokio::time::sleep(SECOND / 2).await;
    assert!(world.script.seen().is_empty());
    world.send_many("ant", "level", 1_999, 1);
    let seen = world.script.until(|seen| seen.len() == 1).await;
    assert_eq!(points(&seen[0]).len(), 2_000);
    assert!(seen[0].at - start < SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_is_more_than_a_batch_leaves_in_several_and_in_order() {
    for (protocol, say) in [(Protocol::V1, Reply::status(204)), (Protocol::V2, written())] {
        let world = World::with(move |_| say.clone(), protocol, sections::Scores::default());
        world.send_many("ant", "level", 0, 5_000);
        world.settled(5_000).await;
        let seen = world.script.seen();
        assert!(seen.iter().all(|request| points(request).len() <= 2_000));
        let times: Vec<_> = all_points(&seen).into_iter().map(|(_, at)| at).collect();
        assert_eq!(times, (0..5_000).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn scores_of_several_requests_of_one_tenant_share_a_request() {
    let world = taker();
    for at in 0..5 {
        world.send("ant", &["level", "other"], at);
        world.send("bee", &["level"], at);
    }
    let seen = world.script.until(|seen| seen.len() == 2).await;
    world.settled(15).await;
    assert_eq!(world.script.seen().len(), 2, "one for each tenant");
    for request in &seen {
        let scores = if request.header("x-scope-orgid") == "ant" { 10 } else { 5 };
        assert_eq!(points(request).len(), scores);
    }
}

#[tokio::test(start_paused = true)]
async fn scores_stop_for_samples_and_come_back_by_doubling() {
    let world = taker();
    let names: Vec<String> = (0..640).map(|n| format!("level_{n}")).collect();
    let mut scores = world.scores(&names.iter().map(String::as_str).collect::<Vec<_>>(), 0);
    let minute = sections::Scores::default().yield_for.get();
    world.forwarder.yield_to_samples(&key("ant"), None);
    let mut sent = Vec::new();
    for at in 0..9 {
        let before = world.metrics.yielded.get();
        scores.iter_mut().for_each(|score| score.sample.timestamp_ms = at);
        world.give("ant", &scores, false);
        world.give("bee", &scores, false);
        sent.push(2 * 640 - (world.metrics.yielded.get() - before) - 640);
        tokio::time::sleep(minute).await;
    }
    assert_eq!(sent[0], 0, "{sent:?}");
    assert!(sent[1] < 64, "{sent:?}");
    assert!(sent.is_sorted(), "whoever is back stays: {sent:?}");
    assert!(sent[4] > sent[1] && sent[4] < 640, "{sent:?}");
    assert_eq!(sent[7..], [640, 640], "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_full_by_a_new_configuration_leaves_at_once() {
    let (world, start) = (taker(), Instant::now());
    world.send_many("ant", "level", 0, 20);
    tokio::time::sleep(SECOND / 4).await;
    let smaller = sections::Scores { batch_size: 10, ..sections::Scores::default() };
    world.forwarder.reroute(route("http://downstream/", &world.script, Protocol::V1, smaller));
    let seen = world.script.until(|seen| seen.len() == 1).await;
    assert!(seen[0].at - start < SECOND / 2, "{:?}", seen[0].at - start);
}
