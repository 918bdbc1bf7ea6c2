//! F-10 and F-22: clients that are slow or silent, and too few files to serve them all.

use super::{gateway, one, push};
use crate::harness::remote_write::HEADERS_V1;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::Scripted;
use crate::harness::sidelong::Sidelong;
use crate::harness::{eventually, http};
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a slow client sends before it stops.
const KINDS: [&[u8]; 3] = [
    b"",
    b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-",
    b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\nabc",
];

async fn slow_client(address: &str, sends: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(sends).await.ok()?;
    Some(stream)
}

/// More slow clients than connections are allowed: each good request is served all the same. Bodies that have begun
/// hold a place each until `limits.body_timeout` is over, so there are fewer of those than `max_requests_in_flight`.
#[tokio::test]
async fn f10_slow_clients_do_not_keep_good_ones_out() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let sidelong = Sidelong::start(&scratch, &gateway(&downstream, "")).await;
    let mut slow = Vec::new();
    for n in 0..600 {
        let kind = if n % 4 == 0 { KINDS[2] } else { KINDS[n % 2] };
        slow.extend(slow_client(&sidelong.address, kind).await);
        if n % 50 == 0 {
            assert_eq!(push(&sidelong, one("level")).await.status, 204, "beside {} slow ones", slow.len());
        }
    }
    assert_eq!(push(&sidelong, one("level")).await.status, 204);
}

#[tokio::test]
async fn f10_a_client_that_stops_is_closed_in_time() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let timers = "server: {connections: {first_byte_timeout: 200ms, header_timeout: 200ms}}\nlimits: {min_body_rate: 64KiB}\n";
    let sidelong = Sidelong::start(&scratch, &(gateway(&downstream, "") + timers)).await;
    for kind in KINDS {
        let mut stream = slow_client(&sidelong.address, kind).await.unwrap();
        let mut answer = Vec::new();
        // It ends: with a 408 or without an answer.
        let _reset = stream.read_to_end(&mut answer).await;
        let said = String::from_utf8_lossy(&answer);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    }
    assert!(downstream.requests().is_empty());
}

#[tokio::test]
async fn f22_with_64_files_new_clients_wait_and_samples_pass() {
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
    drop(idle);
    eventually("a sample passes", passes).await;
    assert!(sidelong.process.running(), "and it has not ended");
}
