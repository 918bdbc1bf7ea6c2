//! What series learned, beyond a restart.

use crate::harness::remote_write::{HEADERS_V1, body_v1, series};
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::{PROGRAM, Sidelong};
use crate::harness::{eventually, http};
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const STEP_MS: i64 = 15_000;
const SAMPLES: i64 = 60;

fn config(folder: &Path, more: &str) -> String {
    format!(
        "rules: [{{match: '{{__name__!=\"\"}}'}}]\nstate: {{folder: '{}', interval: 100ms{more}}}\n",
        folder.display()
    )
}

/// When the first sample is, so that the last ones are of now.
fn start_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    now - (SAMPLES + 10) * STEP_MS
}

async fn push(sidelong: &Sidelong, instances: usize, at: i64, value: f64) {
    let of = |number: usize| {
        let instance = number.to_string();
        series(&[("__name__", "level"), ("instance", &instance), ("job", "it")], &[(at, value)])
    };
    let body = body_v1((0..instances).map(of).collect());
    let answer = http::post(&sidelong.url("/api/v1/write"), HEADERS_V1, body).await.unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// Pushes an ordinary past of `instances` series.
async fn teach(sidelong: &Sidelong, instances: usize, start: i64) {
    for i in 0..SAMPLES {
        push(sidelong, instances, start + i * STEP_MS, 10.0 + (i * 7919 % 13) as f64).await;
    }
    sidelong.metric_reaches("sidelong_samples_scored_total", "", (SAMPLES * instances as i64) as f64).await;
}

/// The score of the first series' sample of `at`.
async fn score(sidelong: &Sidelong, at: i64) -> f64 {
    eventually("the sample is scored", async || {
        let page = http::get(&sidelong.url("/scores")).await.unwrap().text();
        let line =
            page.lines().find(|line| line.contains("instance=\"0\"") && line.ends_with(&at.to_string()))?;
        line.rsplit(' ').nth(1)?.parse().ok()
    })
    .await
}

/// The score that a jump is given after the past.
async fn score_of_jump(sidelong: &Sidelong, start: i64) -> f64 {
    let at = start + (SAMPLES + 1) * STEP_MS;
    push(sidelong, 1, at, 500.0).await;
    score(sidelong, at).await
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let (scratch, folder, start) = (Scratch::new(), tempfile::tempdir().unwrap(), start_ms());
    let config = config(folder.path(), "");
    let mut first = Sidelong::start(&scratch, &config).await;
    teach(&first, 3, start).await;
    first.process.stop().await;
    let second = Sidelong::start(&scratch, &config).await;
    assert_eq!(second.metric("sidelong_state_restored_series", "").await, 3.0);
    assert!(score_of_jump(&second, start).await > 1.0);
    // Without what was learned, the same sample says nothing.
    let cold = Sidelong::start(&scratch, "rules: [{match: '{__name__!=\"\"}'}]\n").await;
    assert_eq!(score_of_jump(&cold, start).await, 0.0);
}

/// A restart `days` after the last sample: how many series came back, what a sample like those before is given, and
/// what one that is far off.
async fn after_days(days: i64, more: &str) -> (f64, f64, f64) {
    let (scratch, folder) = (Scratch::new(), tempfile::tempdir().unwrap());
    let (now, config) = (start_ms() + SAMPLES * STEP_MS, config(folder.path(), more));
    let mut first = Sidelong::start(&scratch, &config).await;
    teach(&first, 1, start_ms() - days * 86_400_000).await;
    first.process.stop().await;
    let second = Sidelong::start(&scratch, &config).await;
    let restored = second.metric("sidelong_state_restored_series", "").await;
    push(&second, 1, now, 14.0).await;
    let ordinary = score(&second, now).await;
    push(&second, 1, now + STEP_MS, 500.0).await;
    (restored, ordinary, score(&second, now + STEP_MS).await)
}

#[tokio::test]
async fn a_restart_after_two_days_goes_on_where_it_was() {
    let (restored, ordinary, far) = after_days(2, "").await;
    assert!(restored == 1.0 && ordinary < 1.0 && far > 1.0, "{restored} {ordinary} {far}");
}

#[tokio::test]
async fn a_restart_after_more_than_max_age_begins_anew() {
    assert_eq!(after_days(8, "").await, (0.0, 0.0, 0.0), "a week by default");
    assert_eq!(after_days(2, ", max_age: 1d").await, (0.0, 0.0, 0.0));
    let (restored, ordinary, far) = after_days(8, ", max_age: 2w").await;
    assert!(restored == 1.0 && ordinary < 1.0 && far > 1.0, "{restored} {ordinary} {far}");
}

#[tokio::test]
async fn f21_killed_it_starts_again_with_the_last_snapshot() {
    let (scratch, folder, start) = (Scratch::new(), tempfile::tempdir().unwrap(), start_ms());
    let config = config(folder.path(), "");
    let first = Sidelong::start(&scratch, &config).await;
    teach(&first, 1, start).await;
    let before = first.metric("sidelong_state_snapshots_total", "written").await;
    first.metric_reaches("sidelong_state_snapshots_total", "written", before + 2.0).await;
    drop(first); // by SIGKILL
    let second = Sidelong::start(&scratch, &config).await;
    assert!(score_of_jump(&second, start).await > 1.0);
}

#[tokio::test]
async fn a_snapshot_of_another_version_or_a_damaged_one_is_a_cold_start() {
    let (scratch, folder) = (Scratch::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("series.snapshot");
    let config = config(folder.path(), ", max_age: 1h");
    for bytes in [
        &b""[..],
        b"SIDELONG\xff\xff\xff\xff1234567812345678",
        b"not a snapshot at all, but longer than a head",
    ] {
        std::fs::write(&file, bytes).unwrap();
        let sidelong = Sidelong::start(&scratch, &config).await;
        assert_eq!(sidelong.metric("sidelong_state_restored_series", "").await, 0.0);
        // And the next snapshot takes its place.
        sidelong.metric_reaches("sidelong_state_snapshots_total", "written", 1.0).await;
    }
    assert!(std::fs::read(&file).unwrap().len() > 28);
}

/// A launcher with a file system of its own of `size` at `folder`; needs the right to make one.
fn on_small_disk(folder: &Path, size: &str) -> Command {
    let script = "mount -t tmpfs -o size=$1 tmpfs \"$2\" && shift 2 && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh", size]).arg(folder);
    command
}

fn remount(sidelong: &Sidelong, folder: &Path, options: &str) {
    let script = format!("mount -o remount,{options} '{}'", folder.display());
    let pid = sidelong.process.id().to_string();
    let status = Command::new("nsenter").args(["-t", &pid, "-m", "sh", "-c", &script]).status().unwrap();
    assert!(status.success(), "{options}");
}

/// F-19 and F-20: what cannot be kept is kept in memory alone, counted, and made up for.
#[tokio::test]
async fn f19_f20_a_full_or_read_only_disk_costs_the_snapshot_alone() {
    let _root = tool!(Nftables);
    let (scratch, folder, start) = (Scratch::new(), tempfile::tempdir().unwrap(), start_ms());
    let sidelong =
        Sidelong::start_by(&scratch, &config(folder.path(), ""), on_small_disk(folder.path(), "32k")).await;
    teach(&sidelong, 100, start).await;
    let failed = sidelong.metric("sidelong_state_snapshots_total", "failed").await;
    sidelong.metric_reaches("sidelong_state_snapshots_total", "failed", failed + 2.0).await;
    // Scoring goes on meanwhile, and whole snapshots are written again once there is room.
    assert!(score_of_jump(&sidelong, start).await > 1.0);
    remount(&sidelong, folder.path(), "size=8m");
    let written = sidelong.metric("sidelong_state_snapshots_total", "written").await;
    sidelong.metric_reaches("sidelong_state_snapshots_total", "written", written + 2.0).await;
    remount(&sidelong, folder.path(), "ro");
    let failed = sidelong.metric("sidelong_state_snapshots_total", "failed").await;
    sidelong.metric_reaches("sidelong_state_snapshots_total", "failed", failed + 2.0).await;
    remount(&sidelong, folder.path(), "rw");
    let written = sidelong.metric("sidelong_state_snapshots_total", "written").await;
    sidelong.metric_reaches("sidelong_state_snapshots_total", "written", written + 2.0).await;
}

fn state(args: &[&str]) -> String {
    let output = Command::new(PROGRAM).arg("state").args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn series_move_from_one_to_another() {
    let (scratch, folder, start) = (Scratch::new(), tempfile::tempdir().unwrap(), start_ms());
    let mut first = Sidelong::start(&scratch, &config(folder.path(), "")).await;
    teach(&first, 5, start).await;
    first.process.stop().await;
    let from = folder.path().to_str().unwrap();
    assert!(state(&["show", from, "--series"]).contains("level{instance=\"4\",job=\"it\"}"));
    let (one, parts) = (folder.path().join("one"), ["1/2", "2/2"].map(|part| (part, part.replace('/', "-"))));
    let said =
        state(&["export", from, "--match", "level{instance=~\"[01]\"}", "--out", one.to_str().unwrap()]);
    assert!(said.starts_with("wrote 2 of 5 series"), "{said}");
    let whole = tempfile::tempdir().unwrap();
    for (part, name) in &parts {
        let file = folder.path().join(name);
        state(&["export", from, "--shard", part, "--out", file.to_str().unwrap()]);
        state(&["import", file.to_str().unwrap(), "--folder", whole.path().to_str().unwrap()]);
    }
    assert!(state(&["show", whole.path().to_str().unwrap()]).contains("5 series"));
    let other = tempfile::tempdir().unwrap();
    state(&["import", one.to_str().unwrap(), "--folder", other.path().to_str().unwrap()]);
    let second = Sidelong::start(&scratch, &config(other.path(), "")).await;
    assert_eq!(second.metric("sidelong_state_restored_series", "").await, 2.0);
    assert!(score_of_jump(&second, start).await > 1.0);
}
