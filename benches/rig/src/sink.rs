//! `sink`: the downstream. Counts what arrives and, asked to, proves that it arrived exactly once.

use crate::args::Args;
use crate::http::{respond, Conn, Head};
use crate::proto::{each_label, get_varint, label_hash, sample_hash, walk_v1, walk_v2};
use crate::sys;
use std::collections::HashSet;
use std::io::{self, Read};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Mode {
    /// Requests and bytes only.
    Bytes,
    /// Decodes and counts samples.
    Count,
    /// Also sums a fingerprint of every sample.
    Verify,
    /// Also remembers every fingerprint, to tell duplicates from losses.
    Track,
}

#[derive(Default)]
struct Stats {
    requests: u64,
    wire: u64,
    raw: u64,
    samples: u64,
    injected: u64,
    sum: u64,
    xor: u64,
    bad: u64,
    duplicates: u64,
    other: u64,
    first_ms: i64,
    last_ms: i64,
    /// Milliseconds from sample timestamp to arrival, capped.
    delay: Vec<u64>,
    /// The same of the injected series: how late a score is, since it bears its sample's timestamp.
    score_delay: Vec<u64>,
    seen: HashSet<u64>,
}

const DELAY_CAP: usize = 20_000;

struct Setup {
    mode: Mode,
    inject: Vec<u8>,
    ignore: Vec<Vec<u8>>,
    wait: Duration,
    fail_every: u64,
}

#[derive(Default)]
struct Tally {
    samples: u64,
    injected: u64,
    other: u64,
    sum: u64,
    xor: u64,
    hashes: Vec<u64>,
    delays: Vec<u32>,
    score_delays: Vec<u32>,
}

/// The delay of a sample as a histogram's bucket; nothing when its timestamp is not one of now.
fn bucket(now: i64, ts: i64) -> Option<u32> {
    let delay = now - ts;
    (0..3_600_000).contains(&delay).then(|| (delay as usize).min(DELAY_CAP - 1) as u32)
}

fn count(delays: &[u32], into: &mut Vec<u64>) {
    if into.is_empty() {
        *into = vec![0; DELAY_CAP];
    }
    for &d in delays {
        into[d as usize] += 1;
    }
}

/// The delay in milliseconds below which a share `q` of the samples came.
fn delay_at(histogram: &[u64], q: f64) -> usize {
    let want = (histogram.iter().sum::<u64>() as f64 * q).ceil() as u64;
    let mut seen = 0;
    let found = histogram.iter().position(|n| {
        seen += n;
        seen >= want && want > 0
    });
    found.unwrap_or(0)
}

impl Tally {
    fn add(&mut self, s: &Setup, name: &[u8], labels: u64, ts: i64, value: f64, now: i64) {
        if name == s.inject || name.ends_with(b":anomaly_score") {
            self.injected += 1;
            self.score_delays.extend(bucket(now, ts));
            return;
        }
        if s.ignore.iter().any(|p| name.starts_with(p)) {
            self.other += 1;
            return;
        }
        self.samples += 1;
        self.delays.extend(bucket(now, ts));
        if s.mode >= Mode::Verify {
            let h = sample_hash(labels, ts, value);
            self.sum = self.sum.wrapping_add(h);
            self.xor ^= h;
            if s.mode == Mode::Track {
                self.hashes.push(h);
            }
        }
    }
}

fn decode(s: &Setup, head: &Head, body: &[u8], raw: &mut Vec<u8>, t: &mut Tally) -> Option<()> {
    raw.clear();
    match head.encoding.as_str() {
        "zstd" => {
            let mut d = ruzstd::decoding::StreamingDecoder::new(body).ok()?;
            d.read_to_end(raw).ok()?;
        }
        _ => {
            raw.resize(snap::raw::decompress_len(body).ok()?, 0);
            snap::raw::Decoder::new().decompress(body, raw).ok()?;
        }
    }
    let now = sys::now_ms();
    let full = s.mode >= Mode::Verify;
    if head.content_type.contains("write.v2") {
        let mut symbols = Vec::new();
        return walk_v2(raw, &mut symbols, |sym, span| {
            let refs = &raw[span.labels as usize..span.labels_end as usize];
            let (mut pos, mut labels, mut name): (usize, u64, &[u8]) = (0, 0, &[]);
            while pos < refs.len() {
                let k = get_varint(refs, &mut pos).and_then(|i| sym.get(i as usize));
                let v = get_varint(refs, &mut pos).and_then(|i| sym.get(i as usize));
                let (Some(&k), Some(&v)) = (k, v) else { break };
                if k == b"__name__" {
                    name = v;
                    if !full {
                        break;
                    }
                }
                labels = labels.wrapping_add(label_hash(k, v));
            }
            t.add(s, name, labels, span.ts, span.value, now);
        });
    }
    walk_v1(raw, |span| {
        let range = &raw[span.labels as usize..span.labels_end as usize];
        // The name is the first label wherever labels are sorted; else look for it.
        let (mut name, mut labels): (&[u8], u64) = (&[], 0);
        let first = range.len() > 14 && &range[2..12] == b"\x0a\x08__name__" && range[1] < 0x80;
        if first && !full {
            name = &range[14..2 + range[1] as usize];
        } else {
            let _ = each_label(range, |k, v| {
                if k == b"__name__" {
                    name = v;
                }
                if full {
                    labels = labels.wrapping_add(label_hash(k, v));
                }
            });
        }
        t.add(s, name, labels, span.ts, span.value, now);
    })
}

fn serve(mut conn: Conn, setup: &Setup, stats: &Mutex<Stats>) -> io::Result<()> {
    let (mut body, mut raw) = (Vec::new(), Vec::new());
    while let Some(head) = conn.head()? {
        conn.body(&head, &mut body)?;
        if head.first.starts_with("GET /stats") {
            let json = report(&stats.lock().unwrap());
            respond(&mut conn.stream, "200 OK", "application/json", json.as_bytes())?;
            continue;
        }
        if head.first.starts_with("POST /reset") {
            *stats.lock().unwrap() = Stats::default();
            respond(&mut conn.stream, "200 OK", "text/plain", b"ok")?;
            continue;
        }
        if !head.first.starts_with("POST") {
            respond(&mut conn.stream, "200 OK", "text/plain", b"ok")?;
            continue;
        }
        let mut t = Tally::default();
        let ok = setup.mode == Mode::Bytes
            || decode(setup, &head, &body, &mut raw, &mut t).is_some();
        let fail = {
            let mut s = stats.lock().unwrap();
            s.requests += 1;
            let fail = setup.fail_every > 0 && s.requests % setup.fail_every == 0;
            if !fail {
                let now = sys::now_ms();
                if s.first_ms == 0 {
                    s.first_ms = now;
                }
                s.last_ms = now;
                s.wire += body.len() as u64;
                s.raw += raw.len() as u64;
                s.bad += !ok as u64;
                s.samples += t.samples;
                s.injected += t.injected;
                s.other += t.other;
                s.sum = s.sum.wrapping_add(t.sum);
                s.xor ^= t.xor;
                count(&t.delays, &mut s.delay);
                count(&t.score_delays, &mut s.score_delay);
                for h in t.hashes {
                    if !s.seen.insert(h) {
                        s.duplicates += 1;
                    }
                }
            }
            fail
        };
        if !setup.wait.is_zero() {
            std::thread::sleep(setup.wait);
        }
        if fail {
            respond(&mut conn.stream, "503 Service Unavailable", "text/plain", b"asked to fail")?;
        } else if !ok {
            respond(&mut conn.stream, "400 Bad Request", "text/plain", b"can not decode")?;
        } else {
            use std::io::Write;
            conn.stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
        }
    }
    Ok(())
}

fn report(s: &Stats) -> String {
    format!(
        "{{\"requests\":{},\"wire_bytes\":{},\"raw_bytes\":{},\"samples\":{},\"injected\":{},\
         \"other\":{},\"bad\":{},\"duplicates\":{},\"unique\":{},\"sum\":{},\"xor\":{},\
         \"first_ms\":{},\"last_ms\":{},\"delay_p50_ms\":{},\"delay_p99_ms\":{},\
         \"score_delay_p50_ms\":{},\"score_delay_p99_ms\":{},\"rss_kib\":{}}}",
        s.requests,
        s.wire,
        s.raw,
        s.samples,
        s.injected,
        s.other,
        s.bad,
        s.duplicates,
        s.seen.len(),
        s.sum,
        s.xor,
        s.first_ms,
        s.last_ms,
        delay_at(&s.delay, 0.5),
        delay_at(&s.delay, 0.99),
        delay_at(&s.score_delay, 0.5),
        delay_at(&s.score_delay, 0.99),
        sys::rss_kib(),
    )
}

pub fn run(a: &Args) -> io::Result<()> {
    let mode = match a.str("mode", "count").as_str() {
        "bytes" => Mode::Bytes,
        "count" => Mode::Count,
        "verify" => Mode::Verify,
        "track" => Mode::Track,
        other => return Err(crate::http::bad(&format!("unknown mode {other}"))),
    };
    let setup = Arc::new(Setup {
        mode,
        inject: a.str("inject-name", "anomaly_score").into_bytes(),
        ignore: a
            .str("ignore-prefixes", "up,scrape_")
            .split(',')
            .filter(|s| !s.is_empty())
            .map(|s| s.as_bytes().to_vec())
            .collect(),
        wait: Duration::from_micros(a.get("latency-us", 0)),
        fail_every: a.get("fail-every", 0),
    });
    let listener = TcpListener::bind(("127.0.0.1", a.get("port", 19090u16)))?;
    let stats = Arc::new(Mutex::new(Stats::default()));
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        let (setup, stats) = (setup.clone(), stats.clone());
        std::thread::spawn(move || {
            let _ = serve(Conn::new(stream), &setup, &stats);
        });
    }
    Ok(())
}
