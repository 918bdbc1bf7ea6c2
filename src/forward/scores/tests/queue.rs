//! What waits: how much, how long, and what is dropped.

use std::time::Duration;

use super::*;
use crate::config::units::ByteSize;

/// A downstream that takes nothing for so long that scores pile up.
fn stuck() -> impl FnMut(&Seen) -> Reply + Send + 'static {
    |_| Reply::status(204).after(Duration::from_secs(3_600))
}

fn with_queue(bytes: u64) -> sections::Scores {
    let max_queue_size = ByteSize::from_bytes(bytes);
    sections::Scores { max_queue_size, batch_size: 10, ..sections::Scores::default() }
}

#[tokio::test(start_paused = true)]
async fn the_queue_size_is_a_total_over_all_lanes() {
    let world = World::with(stuck(), Protocol::V1, with_queue(20_000));
    let tenants: Vec<&'static str> = (0..100).map(|n| &*format!("tenant-{n}").leak()).collect();
    for at in 0..100 {
        for tenant in &tenants {
            world.send_many(tenant, "level", at * 10, 10);
            let used = world.metrics.queued_bytes.get();
            assert!(used <= 20_000, "{used} bytes wait");
        }
    }
    assert!(world.metrics.queued_bytes.get() > 10_000, "and the room is used");
    assert!(world.metrics.queue_full.get() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_counts_until_its_fate_is_known() {
    let world = World::with(stuck(), Protocol::V1, with_queue(1_000_000));
    world.send_many("ant", "level", 0, 10);
    world.script.until(|seen| seen.len() == 1).await;
    assert!(world.metrics.queued_bytes.get() > 0, "on its way, and still held");
    world.settled(10).await;
    assert_eq!(world.metrics.queued_bytes.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_lane_that_holds_the_most_drops_its_oldest_first() {
    let world = World::with(|_| Reply::status(204), Protocol::V1, with_queue(20_000));
    world.send_many("small", "level", 0, 10);
    for at in 0..300 {
        world.send_many("large", "level", at * 10, 10);
    }
    world.settled(3_010).await;
    let of = |tenant: &str| -> Vec<i64> {
        let seen = world.script.seen();
        let own = seen.iter().filter(|request| request.header("x-scope-orgid") == tenant);
        own.flat_map(points).map(|(_, at)| at).collect()
    };
    assert_eq!(of("small"), (0..10).collect::<Vec<_>>(), "the other's flood costs it nothing");
    let kept = of("large").len() as i64;
    assert!(kept > 0 && world.metrics.queue_full.get() as i64 == 3_000 - kept);
    assert_eq!(of("large"), (3_000 - kept..3_000).collect::<Vec<_>>(), "the youngest, in order");
}
