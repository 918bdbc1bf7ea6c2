//! F-11 to F-13: bodies that lie, bodies that are broken, bodies that no sender means.

use super::load::peak_mib;
use super::{RULES, gateway, one, push};
use crate::harness::http::{self, Answer};
use crate::harness::remote_write::{HEADERS_V1, HEADERS_V2, Version, body_v1, series};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Reply, Scripted};
use crate::harness::sidelong::Sidelong;
use bytes::Bytes;
use std::io::Write;
use std::process::Command;

/// The header of a snappy block: its decoded length.
fn declares(length: u32) -> Vec<u8> {
    let (mut rest, mut out) = (length, Vec::new());
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

fn snappy(raw: &[u8]) -> Bytes {
    snap::raw::Encoder::new().compress_vec(raw).unwrap().into()
}

fn gzip(raw: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(raw).unwrap();
    encoder.finish().unwrap()
}

/// So many series without a label or a sample: two bytes each, thirty times that when decoded plainly.
fn empty_series(count: usize) -> Bytes {
    snappy(&[0x0a, 0x00].repeat(count))
}

/// Its address space is bounded, so that memory asked for and never touched counts too (safety finding 2).
async fn bounded(scratch: &Scratch, config: &str) -> Sidelong {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 2000000 && exec \"$0\" \"$@\""]);
    Sidelong::start_by(scratch, config, shell).await
}

fn bombs() -> Vec<(&'static str, Bytes)> {
    let mut lie = declares(2_704_094_487);
    lie.resize(47, 0);
    vec![
        ("a short body that declares 2.7 GB", lie.into()),
        ("a header alone that declares 4 GB", declares(u32::MAX).into()),
        ("40 MiB of zeros, a twentieth on the wire", snappy(&vec![0; 40 << 20])),
        ("nothing", Bytes::new()),
        ("no snappy", Bytes::from_static(b"\xff\xff\xff\xff\xff\xff\xff\xff")),
    ]
}

#[tokio::test]
async fn f11_bombs_are_4xx_within_a_bounded_address_space() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let sidelong = bounded(&scratch, &gateway(&downstream, "")).await;
    for (what, body) in bombs() {
        for headers in [HEADERS_V1, HEADERS_V2] {
            let answer = http::post(&sidelong.url("/api/v1/write"), headers, body.clone()).await.unwrap();
            assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        }
        assert_eq!(push(&sidelong, one("after")).await.status, 204, "after {what}");
    }
}

#[tokio::test]
async fn f11_more_elements_than_we_decode_pass_and_are_counted() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let sidelong = bounded(&scratch, &gateway(&downstream, "")).await;
    // The second decodes to 32 MiB, which is as much as may be.
    for (number, count) in [1 << 20, 16 << 20].into_iter().enumerate() {
        let body = empty_series(count);
        assert_eq!(push(&sidelong, body.clone()).await.status, 204);
        assert_eq!(downstream.requests()[number].body, body);
        let counted = (number + 1) as f64;
        sidelong.metric_reaches("sidelong_unscored_total", "reason=\"limit\"", counted).await;
    }
}

#[tokio::test]
async fn f11_more_elements_than_we_decode_are_4xx_where_we_are_the_receiver() {
    let scratch = Scratch::new();
    let sidelong = bounded(&scratch, RULES).await;
    let answer = push(&sidelong, empty_series(16 << 20)).await;
    assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.text());
    assert_eq!(push(&sidelong, one("after")).await.status, 204);
}

/// A page that decodes to a thousand times its size is the scraper's to refuse: it passes as it is, and is not read.
#[tokio::test]
async fn f11_a_page_that_is_a_gzip_bomb_passes_unread() {
    let scratch = Scratch::new();
    let bomb: Bytes = gzip(&vec![b'\n'; 4 << 20]).repeat(16).into();
    assert!(bomb.len() * 900 < 64 << 20, "{} bytes", bomb.len());
    let page = bomb.clone();
    let target = Scripted::start(move |request| match &*request.target {
        "/bomb" => Reply::page("text/plain; version=0.0.4", page.clone()).with("content-encoding", "gzip"),
        _ => Reply::page("text/plain; version=0.0.4", "level 1\n"),
    })
    .await;
    let config = format!(
        "{RULES}scrape: {{targets: [{{name: bomb, url: '{}'}}, {{name: good, url: '{}'}}]}}\n",
        target.url("/bomb"),
        target.url("/metrics")
    );
    let sidelong = bounded(&scratch, &config).await;
    let gzipped = [("accept-encoding", "gzip")];
    let answer = http::get_with(&sidelong.url("/scrape/bomb"), &gzipped).await.unwrap();
    assert_eq!((answer.status, answer.body), (200, bomb));
    sidelong.metric_reaches("sidelong_scrape_unscored_pages_total", "", 1.0).await;
    let good = http::get(&sidelong.url("/scrape/good")).await.unwrap();
    assert!(good.text().contains("anomaly_score"), "{}", good.text());
}

/// One of OpenMetrics, which nobody asked to be gzipped, is passed on decoded: by the step, and not as a whole.
#[tokio::test]
async fn f11_a_page_of_openmetrics_that_is_a_gzip_bomb_passes_by_the_step() {
    const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const DECODED: usize = 32 << 20;
    let scratch = Scratch::new();
    let bomb: Bytes = gzip(&vec![b'\n'; DECODED / 8]).repeat(8).into();
    assert!(bomb.len() * 900 < DECODED, "{} bytes", bomb.len());
    let target =
        Scripted::start(move |_| Reply::page(KIND, bomb.clone()).with("content-encoding", "gzip")).await;
    let config = format!(
        "{RULES}scrape: {{targets: [{{name: bomb, url: '{}', body_size_limit: 1MiB, \
         scrape_interval: 1m, scrape_timeout: 1m}}]}}\n",
        target.url("/bomb")
    );
    let sidelong = bounded(&scratch, &config).await;
    let before = peak_mib(&sidelong);
    let answer = http::get_with(&sidelong.url("/scrape/bomb"), &[("accept", KIND)]).await.unwrap();
    assert_eq!((answer.status, answer.header("content-encoding"), answer.body.len()), (200, "", DECODED));
    sidelong.metric_reaches("sidelong_scrape_unscored_pages_total", "reason=\"body_size\"", 1.0).await;
    let grown = peak_mib(&sidelong) - before;
    assert!(grown < 16, "{grown} MiB for a page of {DECODED} bytes");
}

/// The downstream is a strict one: it takes exactly what was sent and nothing else.
async fn forwarded_or_refused(sidelong: &Sidelong, downstream: &Scripted, body: Bytes) {
    let before = downstream.requests().len();
    let answer: Answer = push(sidelong, body.clone()).await;
    let new = downstream.requests().split_off(before);
    if (400..500).contains(&answer.status) && new.is_empty() {
        return;
    }
    let [forwarded] = &*new else { panic!("{} requests for one, answer {}", new.len(), answer.status) };
    assert_eq!((answer.status, &forwarded.body), (202, &body), "changed on the way");
}

/// F-12's downstream does not decode: what it is sent is broken. A status of its own tells its answers.
async fn taker() -> Scripted {
    Scripted::start(|_| Reply::status(202)).await
}

/// Every body, several at a time: the downstream has had exactly those, each once, whose answers are its own.
async fn all_forwarded_or_refused(version: Version, bodies: impl Iterator<Item = Bytes>) {
    let scratch = Scratch::new();
    let downstream = taker().await;
    let sidelong = Sidelong::start(&scratch, &gateway_unscored(&downstream)).await;
    let client = http::Kept::new();
    let mut bodies = bodies.peekable();
    while bodies.peek().is_some() {
        let some: Vec<_> = bodies.by_ref().take(1_024).collect();
        let mut senders = tokio::task::JoinSet::new();
        for part in some.chunks(some.len().div_ceil(8)) {
            let (client, part, url) = (client.clone(), part.to_vec(), sidelong.url("/api/v1/write"));
            senders.spawn(async move {
                let mut taken = Vec::new();
                for body in part {
                    let status = client.post(&url, version.headers(), body.clone()).await.unwrap().status;
                    assert!(status == 202 || (400..500).contains(&status), "{status}");
                    taken.extend((status == 202).then_some(body));
                }
                taken
            });
        }
        let mut taken = senders.join_all().await.concat();
        let mut arrived: Vec<_> = downstream.requests().into_iter().map(|r| r.body).collect();
        taken.sort_unstable();
        arrived.sort_unstable();
        assert!(taken == arrived, "{} taken, {} arrived, or changed on the way", taken.len(), arrived.len());
        downstream.forget();
    }
    // Among so many there were some whose bytes Sidelong itself compares.
    assert!(sidelong.metric("sidelong_batches_hashed_total", "").await > 0.0);
    assert_eq!(sidelong.metric("sidelong_batches_altered_total", "").await, 0.0);
}

#[tokio::test]
async fn f12_a_body_cut_at_any_byte_is_forwarded_as_it_is_or_refused() {
    for version in Version::BOTH {
        let body = mixed(version);
        all_forwarded_or_refused(version, (0..body.len()).map(|end| body.slice(..end))).await;
    }
}

async fn any_bit_may_flip(version: Version) {
    let body = mixed(version);
    let flipped = |bit: usize| {
        let mut flipped = body.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        Bytes::from(flipped)
    };
    all_forwarded_or_refused(version, (0..body.len() * 8).map(flipped)).await;
}

#[tokio::test]
async fn f12_a_1_0_body_with_any_bit_flipped_is_forwarded_as_it_is_or_refused() {
    any_bit_may_flip(Version::V1).await;
}

#[tokio::test]
async fn f12_a_2_0_body_with_any_bit_flipped_is_forwarded_as_it_is_or_refused() {
    any_bit_may_flip(Version::V2).await;
}

/// Scores would mix with the requests that are counted; decoding happens all the same.
fn gateway_unscored(downstream: &Scripted) -> String {
    let url = downstream.url("/api/v1/write");
    format!("downstream: {{url: '{url}'}}\nrules: [{{match: no_such_series}}]\n")
}

/// About 4 KiB as they travel: gauges and counters, a NaN, text that snappy finds nothing in, and some that it does.
fn mixed(version: Version) -> Bytes {
    let series = |n: u64| {
        let id = format!("{:016x}", (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let name = if n.is_multiple_of(2) { "level" } else { "other_total" };
        let labels = [("__name__", name), ("id", &*id), ("instance", "127.0.0.1:9100"), ("job", "it")];
        let last = if n.is_multiple_of(5) { f64::NAN } else { n as f64 / 7.0 };
        series(&labels, &[(1, n as f64 * 1.1), (2, last)])
    };
    let mut bodies = (1..).map(|count| version.body((0..count).map(series).collect()));
    bodies.find(|body| body.len() >= 4 << 10).expect("they grow")
}

#[tokio::test]
async fn f13_what_no_sender_means_passes_and_is_counted() {
    let scratch = Scratch::new();
    let downstream = taker().await;
    let sidelong = Sidelong::start(&scratch, &gateway_unscored(&downstream)).await;
    let many: Vec<_> = (0..10_000).map(|n| format!("label_{n:05}")).collect();
    let mut labels = vec![("__name__", "wide")];
    labels.extend(many.iter().map(|name| (&**name, "x")));
    let long = "x".repeat(1 << 20);
    let bodies = [
        ("10,000 labels", "limit", body_v1(vec![series(&labels, &[(1, 1.0)])])),
        (
            "a label of 1 MiB",
            "limit",
            body_v1(vec![series(&[("__name__", "long"), ("l", &long)], &[(1, 1.0)])]),
        ),
        ("text that is not UTF-8", "labels", snappy(&not_utf8())),
        ("a depth of 10,000", "limit", snappy(&nested(10_000))),
        // Odd, and yet text: there is nothing to count.
        (
            "NUL and escapes",
            "",
            body_v1(vec![series(&[("__name__", "a\0b"), ("l", "\x1b[31mred\n")], &[(1, 1.0)])]),
        ),
    ];
    for (what, reason, body) in bodies {
        let unscored = async |label: String| sidelong.metric("sidelong_unscored_total", &label).await;
        let before = (unscored(format!("reason=\"{reason}\"")).await, unscored(String::new()).await);
        forwarded_or_refused(&sidelong, &downstream, body).await;
        // Of one sender's requests the second is looked at when the first has been.
        let seen = sidelong.metric("sidelong_samples_unselected_total", "").await;
        assert_eq!(push(&sidelong, one("after")).await.status, 202, "after {what}");
        sidelong.metric_reaches("sidelong_samples_unselected_total", "", seen + 1.0).await;
        let after = (unscored(format!("reason=\"{reason}\"")).await, unscored(String::new()).await);
        let counted = if reason.is_empty() { 0.0 } else { 1.0 };
        if !reason.is_empty() {
            assert_eq!(after.0, before.0 + counted, "{what}");
        }
        assert_eq!(after.1, before.1 + counted, "{what}, for another reason");
    }
    let log = sidelong.process.log();
    assert!(!log.contains('\x1b') && !log.contains('\0'), "control characters reach no log");
}

/// A series of one sample, `x{ab="…"}`, whose label's value is no text.
fn not_utf8() -> Vec<u8> {
    let name = [&[0x0a, 13, 0x0a, 8][..], b"__name__", &[0x12, 1], b"x"].concat();
    let label = [&[0x0a, 8, 0x0a, 2][..], b"ab", &[0x12, 2, 0xff, 0xfe]].concat();
    let sample = [&[0x12, 11, 0x09][..], &1.0_f64.to_le_bytes(), &[0x10, 1]].concat();
    let series = [name, label, sample].concat();
    [vec![0x0a, series.len() as u8], series].concat()
}

/// Messages within messages, as far as their lengths allow.
fn nested(depth: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..depth {
        let mut outer = vec![0x0a];
        outer.extend(declares(body.len() as u32));
        outer.extend(&body);
        body = outer;
    }
    body
}
