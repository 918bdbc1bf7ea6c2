//! Which version scores travel in.

use super::*;

/// The version of a request, by both of its headers, which must agree.
fn version(seen: &Seen) -> &'static str {
    match (seen.header("content-type"), seen.header("x-prometheus-remote-write-version")) {
        ("application/x-protobuf", "0.1.0") => "1.0",
        ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0") => "2.0",
        other => panic!("the headers disagree: {other:?}"),
    }
}

fn versions(world: &World) -> Vec<&'static str> {
    world.script.seen().iter().map(version).collect()
}

fn is_v2(seen: &Seen) -> bool {
    version(seen) == "2.0"
}

fn auto(say: impl FnMut(&Seen) -> Reply + Send + 'static) -> World {
    World::with(say, Protocol::Auto, sections::Scores::default())
}

#[tokio::test(start_paused = true)]
async fn f9_scores_are_sent_as_2_0_where_that_is_taken() {
    let world = auto(|_| written());
    for at in 1..4 {
        world.send("ant", &["level"], at);
        world.settled(at as u64).await;
    }
    // The question carries no score, and those made before its answer are of version 1.0.
    assert_eq!(versions(&world), ["2.0", "1.0", "2.0", "2.0"]);
    assert_eq!(points(&world.script.seen()[0]), []);
    assert_eq!(all_points(&world.script.seen()).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn f8_a_2xx_that_does_not_say_what_was_written_is_that_of_a_1_0_receiver() {
    let world = auto(|_| Reply::status(204));
    for at in 1..4 {
        world.send("ant", &["level"], at);
        world.settled(at as u64).await;
    }
    assert_eq!(versions(&world), ["2.0", "1.0", "1.0", "1.0"], "asked once, and remembered");
    assert_eq!(all_points(&world.script.seen()).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn f9_a_415_is_that_of_a_1_0_receiver() {
    for status in [415, 400, 404] {
        let world = auto(move |seen| if is_v2(seen) { Reply::status(status) } else { Reply::status(204) });
        for at in 1..4 {
            world.send("ant", &["level"], at);
            world.settled(at as u64).await;
        }
        assert_eq!(versions(&world), ["2.0", "1.0", "1.0", "1.0"], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn f9_without_a_clear_answer_scores_go_as_1_0_and_it_is_asked_again() {
    let world = auto(|seen| match is_v2(seen) && points(seen).is_empty() {
        true => Reply::status(503),
        false => Reply::status(204),
    });
    world.send("ant", &["level"], 1);
    world.settled(1).await;
    assert_eq!(versions(&world), ["2.0", "1.0"]);
    world.script.set(|_| written());
    for at in 2..4 {
        world.send("ant", &["level"], at);
        world.settled(at as u64).await;
    }
    assert_eq!(versions(&world), ["2.0", "1.0", "2.0", "1.0", "2.0"]);
}

#[tokio::test(start_paused = true)]
async fn f8_f9_scores_refused_as_2_0_are_spelled_and_sent_again() {
    for reply in [Reply::status(204), Reply::status(415)] {
        let say = move |seen: &Seen| if is_v2(seen) { reply.clone() } else { Reply::status(204) };
        let world = World::with(say, Protocol::V2, sections::Scores::default());
        world.send_many("ant", "level", 0, 2_000);
        world.send_many("ant", "level", 2_000, 2_000);
        world.settled(4_000).await;
        let seen = world.script.seen();
        assert_eq!(versions(&world), ["2.0", "1.0", "1.0"], "what waits as 2.0 is not tried as such");
        assert_eq!(points(&seen[0]), points(&seen[1]), "the same scores");
        assert_eq!(seen[1].header("retry-attempt"), "1");
        assert_eq!(world.metrics.sent.get(), 4_000);
    }
}

#[tokio::test(start_paused = true)]
async fn f9_a_2xx_that_says_what_was_written_is_never_sent_again() {
    let nothing = Reply::status(200).with("x-prometheus-remote-write-samples-written", "0");
    let world = World::with(move |_| nothing.clone(), Protocol::V2, sections::Scores::default());
    world.send("ant", &["level"], 1);
    world.settled(1).await;
    assert_eq!(versions(&world), ["2.0"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_of_a_receiver_outlives_a_reload_and_not_the_receiver() {
    let world = auto(|_| Reply::status(204));
    world.send("ant", &["level"], 1);
    world.settled(1).await;
    let reroute = |url: &str, protocol| {
        let config = sections::Scores { batch_size: 7, ..sections::Scores::default() };
        world.forwarder.reroute(route(url, &world.script, protocol, config));
    };
    reroute("http://downstream/", Protocol::Auto);
    world.send("ant", &["level"], 2);
    world.settled(2).await;
    assert_eq!(versions(&world), ["2.0", "1.0", "1.0"], "the same one is not asked again");
    reroute("http://another/", Protocol::Auto);
    world.send("ant", &["level"], 3);
    world.settled(3).await;
    assert_eq!(versions(&world), ["2.0", "1.0", "1.0", "2.0", "1.0"], "another one is");
    reroute("http://another/", Protocol::V1);
    world.send("ant", &["level"], 4);
    world.settled(4).await;
    assert_eq!(versions(&world).last(), Some(&"1.0"));
}
