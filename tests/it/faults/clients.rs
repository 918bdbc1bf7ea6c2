//! F-10 and F-22: clients that are slow or silent, and too few files to serve them all.

use super::{gateway, is_samples, one, push};
use crate::harness::remote_write::HEADERS_V1;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Gate, Reply, Scripted};
use crate::harness::sidelong::Sidelong;
use crate::harness::{eventually, files, http};
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a slow client sends before it stops.
const KINDS: [&[u8]; 3] = [
    b"",
    b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-",
    b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\nabc",
];

/// Nothing if it was closed already.
async fn slow_client(address: &str, sends: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(sends).await.ok()?;
    Some(stream)
}

/// A body that begins with `sent` bytes of `length` and goes no further.
fn stalled(sent: usize, length: usize) -> Vec<u8> {
    let head = format!(
        "POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), &vec![b'x'; sent]].concat()
}

/// Clients of each kind.
const OF_EACH: usize = 1_000;
/// So many of them come for each request of the good client.
const EVERY: usize = 50;

/// Slow clients of all kinds in turn, and between them a good one, each of whose requests is served.
async fn crowd(sidelong: &Sidelong) -> Vec<TcpStream> {
    let mut slow = Vec::new();
    for n in 0..OF_EACH * KINDS.len() {
        slow.extend(slow_client(&sidelong.address, KINDS[n % KINDS.len()]).await);
        if n % EVERY == 0 {
            assert_eq!(push(sidelong, one("level")).await.status, 204, "beside {} slow ones", slow.len());
        }
    }
    slow
}

/// More slow clients than connections are allowed: each good request is served all the same.
#[tokio::test]
async fn f10_a_thousand_slow_clients_of_each_kind_do_not_keep_good_ones_out() {
    const CONNECTIONS: usize = 2 * OF_EACH;
    // Two files a connection on their side, one on ours.
    let Some(()) = files::raise(3 * CONNECTIONS as u64) else { return };
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let patient = format!(
        "server: {{connections: {{max_connections: {CONNECTIONS}, first_byte_timeout: 1h, header_timeout: 1h}}}}\n\
         limits: {{max_requests_in_flight: {}, body_timeout: 1h}}\n",
        OF_EACH + 10
    );
    let sidelong = Sidelong::start(&scratch, &(gateway(&downstream, "") + &patient)).await;
    let slow = crowd(&sidelong).await;
    assert_eq!(slow.len(), OF_EACH * KINDS.len());
    let open = async || {
        let open = sidelong.metric("sidelong_connections", "listener=\"data\"").await;
        (open == CONNECTIONS as f64).then_some(())
    };
    eventually("as many are connected as may be", open).await;
    let evicted = sidelong.metric("sidelong_connections_closed_total", "evicted").await;
    assert!(evicted >= OF_EACH as f64, "{evicted} gave way");
    for _ in 0..100 {
        assert_eq!(push(&sidelong, one("level")).await.status, 204);
    }
}

/// Far more bodies have begun than there are seats, and than there are connections.
#[tokio::test]
async fn f10_slow_bodies_hold_no_seat() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let config = gateway(&downstream, "") + "limits: {max_requests_in_flight: 1}\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    let mut slow = Vec::new();
    for n in 0..600 {
        slow.extend(slow_client(&sidelong.address, KINDS[2]).await);
        if n % 50 == 0 {
            assert_eq!(push(&sidelong, one("level")).await.status, 204, "beside {} slow ones", slow.len());
        }
    }
    assert_eq!(sidelong.metric("sidelong_write_refused_total", "reason=\"requests_in_flight\"").await, 0.0);
}

#[tokio::test]
async fn f10_bodies_that_stall_give_way_to_whole_ones() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let limits = "limits: {max_body_size: 64KiB, max_body_bytes_in_flight: 256KiB}\n";
    let sidelong = Sidelong::start(&scratch, &(gateway(&downstream, "") + limits)).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.extend(slow_client(&sidelong.address, &stalled(60 << 10, 64 << 10)).await);
        assert_eq!(push(&sidelong, one("level")).await.status, 204, "beside {} slow ones", slow.len());
    }
    sidelong.metric_reaches("sidelong_write_refused_total", "reason=\"body_bytes\"", 16.0).await;
    let mut answer = Vec::new();
    slow[0].read_to_end(&mut answer).await.unwrap();
    let said = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(said.starts_with("http/1.1 503") && said.contains("retry-after: 1"), "{said}");
    assert!(said.contains("limits.max_body_bytes_in_flight"), "{said}");
}

/// Every seat is taken by requests that wait for the downstream: the next is told to come again, in a way that no
/// sender takes for a reason to drop its samples.
#[tokio::test]
async fn b7_without_a_seat_the_answer_is_503_with_retry_after() {
    let scratch = Scratch::new();
    let gate = Gate::closed();
    let held = gate.clone();
    let downstream = Scripted::start(move |_| Reply::status(204).behind(&held)).await;
    let config = gateway(&downstream, "") + "limits: {max_requests_in_flight: 1}\n";
    let sidelong = Sidelong::start(&scratch, &config).await;
    let second = async {
        downstream.received(1, "the first request", is_samples).await;
        let refused = push(&sidelong, one("level")).await;
        gate.open();
        refused
    };
    let (first, refused) = tokio::join!(push(&sidelong, one("level")), second);
    assert_eq!((first.status, refused.status, refused.header("retry-after")), (204, 503, "1"));
    assert!(refused.text().contains("limits.max_requests_in_flight"), "{}", refused.text());
}

#[tokio::test]
async fn f10_a_thousand_clients_of_each_kind_that_stop_are_closed_in_time() {
    let Some(()) = files::raise(3 * (OF_EACH * KINDS.len()) as u64) else { return };
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let timers = format!(
        "server: {{connections: {{max_connections: {}, first_byte_timeout: 5s, header_timeout: 5s}}}}\n\
         limits: {{max_requests_in_flight: {}, body_timeout: 5s, min_body_rate: 64KiB}}\n",
        OF_EACH * KINDS.len() + 10,
        OF_EACH + 10
    );
    let sidelong = Sidelong::start(&scratch, &(gateway(&downstream, "") + &timers)).await;
    for mut stream in crowd(&sidelong).await {
        let mut answer = Vec::new();
        // It ends: with a 408 or without an answer.
        let _reset = stream.read_to_end(&mut answer).await;
        let said = String::from_utf8_lossy(&answer);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    }
    let forwarded = downstream.requests().iter().filter(|r| is_samples(r)).count();
    assert_eq!(forwarded, OF_EACH * KINDS.len() / EVERY, "those of the good client alone");
}

#[tokio::test]
async fn f22_with_64_files_new_clients_wait_samples_pass_and_a_reload_is_taken() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]);
    let mut sidelong = Sidelong::start_by(&scratch, &gateway(&downstream, ""), shell).await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.extend(slow_client(&sidelong.address, b"").await);
    }
    // A connection that is turned away is tried again, as senders do.
    let passes = async || {
        let answer = http::post(&sidelong.url("/api/v1/write"), HEADERS_V1, one("level")).await.ok()?;
        (answer.status == 204).then_some(())
    };
    for _ in 0..10 {
        eventually("a sample passes", passes).await;
    }
    // What is held back from clients is there for a reload, whose downstream is another.
    let second = Scripted::downstream().await;
    sidelong.write_config(&gateway(&second, ""));
    let url = format!("http://{}/-/reload", sidelong.admin);
    eventually("it is reloaded", async || {
        http::post(&url, &[], "").await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    let before = downstream.requests().iter().filter(|r| is_samples(r)).count();
    eventually("a sample passes", passes).await;
    assert!(second.requests().iter().any(is_samples), "by the new configuration");
    assert_eq!(downstream.requests().iter().filter(|r| is_samples(r)).count(), before);
    drop(idle);
    eventually("a sample passes", passes).await;
    assert!(sidelong.process.running(), "and it has not ended");
}
