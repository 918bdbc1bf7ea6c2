//! B-19: secrets planted in a running process go where they belong and show nowhere, whatever goes wrong.

use crate::harness::http::{self, Answer};
use crate::harness::remote_write::{HEADERS_V1, body_v1, series};
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Recorded, Reply, Scripted};
use crate::harness::sidelong::{Sidelong, free_address};
use bytes::Bytes;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// What all of them begin with.
const CANARY: &str = "canary";

/// Those that travel by basic authentication, with their users, as they do.
const BASIC: [(&str, &str); 3] =
    [("canary03", "YzpjYW5hcnkwMw=="), ("canary08", "dTpjYW5hcnkwOA=="), ("canary10", "YzpjYW5hcnkxMA==")];

/// As logging as it gets, and with a secret in its environment.
fn launcher() -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "CANARY=canary10 exec \"$0\" \"$@\" --log-level debug"]);
    shell
}

/// One in every place where a secret can stand.
fn config(downstream: &Scripted, tokens: &Scripted, target: &Scripted, file: &str, dead: &str) -> String {
    format!(
        r#"
downstream:
  url: "{}"
  headers: {{X-Api-Key: canary02}}
  timeout: 2s
  oauth2:
    client_id: c
    client_secret: canary03
    token_url: "{}"
    endpoint_params: {{password: canary05}}
scrape:
  targets:
  - name: a
    url: "{}"
    headers: {{X-Key: canary07}}
    basic_auth: {{username: u, password: canary08}}
  - {{name: b, url: "{}", authorization: {{credentials: canary09}}}}
  - {{name: c, url: "{}", authorization: {{credentials_file: "{file}"}}}}
  - {{name: dead, url: "http://{dead}/?t=canary06", headers: {{X-Key: canary07}}}}
  upstream:
    url: "{}"
    oauth2: {{client_id: c, client_secret: "${{CANARY}}", token_url: "{}"}}
    headers: {{X-Other: canary11}}
context: {{announce: {{token: canary17}}}}
rules: [{{match: level}}]
"#,
        downstream.url("/write?key=canary01"),
        tokens.url("/token?k=canary04"),
        target.url("/a?t=canary06"),
        target.url("/b"),
        target.url("/c"),
        target.url("/upstream"),
        tokens.url("/token"),
    )
}

/// All that a request says, in one text; what basic authentication hides is written out.
fn said(request: &Recorded) -> String {
    let body = String::from_utf8_lossy(&request.body);
    let said = format!("{} {:?} {body}", request.target, request.headers);
    BASIC.iter().fold(said, |said, (plain, hidden)| said.replace(hidden, &format!("{hidden} {plain}")))
}

fn shows(text: &str) -> bool {
    text.contains(CANARY) || BASIC.iter().any(|(_, hidden)| text.contains(hidden))
}

fn token(_: &Recorded) -> Reply {
    Reply::page("application/json", "{\"access_token\": \"canary13\", \"token_type\": \"Bearer\"}")
}

/// The worst that a failing endpoint can say: what it was told.
fn repeats(request: &Recorded) -> Reply {
    Reply::page("text/plain", said(request)).coded(500)
}

fn level() -> Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    body_v1(vec![series(&[("__name__", "level"), ("job", "it")], &[(now, 1.0)])])
}

async fn push(sidelong: &Sidelong, body: impl Into<Bytes>) -> Answer {
    http::post(&sidelong.url("/api/v1/write"), HEADERS_V1, body).await.unwrap()
}

/// Every page that there is, and the log so far.
async fn shows_none(sidelong: &Sidelong, when: &str) {
    let status = ["config", "buildinfo", "targets", "model", "budget"].map(|p| format!("/api/v1/status/{p}"));
    let explained = ["/api/v1/explain?series=level", "/api/v1/highest", "/api/v1/context"];
    let more = ["/metrics", "/-/ready", "/-/healthy", "/"].into_iter().chain(explained);
    for page in status.iter().map(String::as_str).chain(more) {
        let text = sidelong.page(page).await;
        assert!(!shows(&text), "{when}, {page}: {text}");
    }
    let log = sidelong.process.log();
    let line = log.lines().find(|line| shows(line));
    assert_eq!(line, None, "{when}");
}

#[tokio::test]
async fn b19_no_page_no_metric_and_no_log_line_shows_a_secret() {
    let scratch = Scratch::new();
    let downstream = Scripted::downstream().await;
    let (tokens, target) = (Scripted::start(repeats).await, Scripted::start(|_| Reply::Reset).await);
    let file = scratch.write("token", "canary12\n").display().to_string();
    let config = config(&downstream, &tokens, &target, &file, &free_address());
    let sidelong = Sidelong::start_by(&scratch, &config, launcher()).await;
    shows_none(&sidelong, "at the start").await;

    let scrapes = ["/scrape/a", "/scrape/b", "/scrape/c", "/scrape/dead", "/metrics"];
    let fails = async |when: &str| {
        for path in scrapes {
            let answer = http::get(&sidelong.url(path)).await.unwrap();
            assert!(answer.status >= 500 && !shows(&answer.text()), "{path}: {}", answer.text());
        }
        shows_none(&sidelong, when).await;
    };
    let failed = push(&sidelong, level()).await;
    assert!(failed.status >= 500 && !shows(&failed.text()), "{} {}", failed.status, failed.text());
    fails("when the token endpoint fails and targets reset").await;
    tokens.set(|_| Reply::page("application/json", "{\"access_token\": [\"canary13\"]}"));
    assert!(push(&sidelong, level()).await.status >= 500);
    tokens.set(|_| Reply::Reset);
    assert!(push(&sidelong, level()).await.status >= 500);
    shows_none(&sidelong, "when what it answers is no token, or nothing").await;

    // Now all goes well, and each is where it belongs.
    tokens.set(token);
    target.set(|_| Reply::page("text/plain", "level 1\n"));
    assert_eq!(push(&sidelong, level()).await.status, 204);
    for path in scrapes.iter().filter(|path| !path.ends_with("dead")) {
        assert_eq!(http::get(&sidelong.url(path)).await.unwrap().status, 200, "{path}");
    }
    sidelong.metric_reaches("sidelong_scores_sent_total", "", 1.0).await;
    let got: String =
        [&downstream, &tokens, &target].iter().flat_map(|s| s.requests()).map(|r| said(&r)).collect();
    for number in 1..=13 {
        assert!(got.contains(&format!("canary{number:02}")), "{number} is used: {got}");
    }
    shows_none(&sidelong, "when all goes well").await;

    // Refused: for its body, its path, its method, its target, and by the downstream.
    assert!(push(&sidelong, &b"\xff\xff\xff\xff\x0f and no snappy"[..]).await.status >= 400);
    let theirs = [("authorization", "Bearer canary14"), ("proxy-authorization", "Basic canary14")];
    for path in ["/nowhere?key=canary14", "/scrape/unknown?key=canary14", "/api/v1/write?key=canary14"] {
        assert!(http::get_with(&sidelong.url(path), &theirs).await.unwrap().status >= 400, "{path}");
    }
    for refused in ["http://u:canary14@127.0.0.1:1/", "http://127.0.0.1:1/?key=canary14", "canary14"] {
        let encoded: String = url::form_urlencoded::byte_serialize(refused.as_bytes()).collect();
        let path = sidelong.url(&format!("/proxy?target={encoded}"));
        assert!(http::get_with(&path, &theirs).await.unwrap().status >= 400, "{refused}");
    }
    downstream.set(|_| Reply::page("text/plain", "not today").coded(401));
    assert_eq!(push(&sidelong, level()).await.status, 401);
    downstream.set(|_| Reply::Silence);
    assert_eq!(push(&sidelong, level()).await.status, 504);
    shows_none(&sidelong, "when requests are refused").await;

    // A file that is wrong, with a secret at the wrong place and others of another kind.
    let sigv4 = format!(
        "downstream: {{url: '{}', sigv4: {{region: eu-west-1, access_key: a, secret_key: canary15}}}}\n",
        downstream.url("/write?key=canary01")
    );
    for wrong in [
        format!("{config}canary16: {{}}\n").replace("canary16", "servr"),
        config.replace("password: canary08", "password: [canary08]"),
        config.replace("timeout: 2s", "timeout: \"${CANARY}\""),
        config.replace("url: \"http://", "url: \"http://u:canary16@"),
        sigv4.replace("sigv4:", "basic_auth: {username: u, password: canary16}, sigv4:"),
        config.replace("credentials: canary09", "credentials: \"canary09\\u0001\""),
    ] {
        let refused = sidelong.reload(&wrong).await;
        assert!(refused.status >= 400 && !shows(&refused.text()), "{}", refused.text());
    }
    shows_none(&sidelong, "when reloads fail").await;
    assert_eq!(sidelong.reload(&sigv4).await.status, 200);
    downstream.set(|_| Reply::status(204));
    assert_eq!(push(&sidelong, level()).await.status, 204);
    shows_none(&sidelong, "when it signs").await;
}
