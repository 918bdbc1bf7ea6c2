//! What of a hop the door is: for the scraper it is as if nobody stood between.

use super::*;

#[tokio::test]
async fn p6_a_redirect_leads_where_it_leads_without_us() {
    let check = async |location: &str, want: &str| {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let upstream = Upstream::start(Answer::Close(head.into_bytes())).await;
        let want = want.replace("HERE", &format!("http://{}", upstream.address));
        let fixed = format!("upstream: {{url: 'http://{}/m'}}", upstream.address);
        let house = House::open(&[named(&upstream, ""), allowing(&upstream), fixed].join("\n")).await;
        let url = format!("http://{}/m", upstream.address);
        for target in ["/scrape/t", "/metrics", &format!("/proxy?target={url}"), &url] {
            let reply = house.get(target, "").await;
            assert_eq!(reply.status, 302, "{location} by {target}");
            let got = reply.head.lines().find_map(|line| line.strip_prefix("location: "));
            assert_eq!(got, Some(&*want), "{location} by {target}");
        }
    };
    check("/elsewhere?a=b", "HERE/elsewhere?a=b").await;
    check("elsewhere", "HERE/elsewhere").await;
    check("//other:9100/metrics", "http://other:9100/metrics").await;
    check("https://other/metrics", "https://other/metrics").await;
    check("https://other:443", "https://other:443").await;
    check("http://[", "http://[").await;
}

#[tokio::test]
async fn h_up_is_what_it_would_be_without_us() {
    let chunked = |end: &str| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}5\r\nup 1\n\r\n{end}").into_bytes()
    };
    let text = |body: &str, len: usize| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len}\r\n\r\n{body}")
            .into_bytes()
    };
    let status = |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\nno").into_bytes();
    let rows = [
        ("200", Answer::Close(text("up 1\n", 5)), 200, true),
        ("200 chunked", Answer::Close(chunked("0\r\n\r\n")), 200, true),
        ("empty", Answer::Close(text("", 0)), 200, true),
        ("503", Answer::Close(status("503 Service Unavailable")), 503, true),
        ("204", Answer::Close(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()), 204, false),
        ("302", Answer::Close(status("302 Found\r\nLocation: /elsewhere")), 302, true),
        ("cut by length", Answer::Close(text("up 1\n", 50)), 200, false),
        ("cut by chunks", Answer::Close(chunked("5\r\nup")), 200, false),
        ("cut between chunks", Answer::Close(chunked("")), 200, false),
        ("closed", Answer::Close(Vec::new()), 502, true),
        ("no HTTP", Answer::Close(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()), 502, true),
        ("silent", Answer::Stall(Vec::new()), 504, true),
        ("late", Answer::Stall(text("up 1\n", 50)), 200, false),
        ("late chunks", Answer::Stall(chunked("")), 200, false),
    ];
    for (name, answer, status, whole) in rows {
        let upstream = Upstream::start(answer).await;
        let fixed = format!("upstream: {{url: 'http://{}/m'}}", upstream.address);
        let house = House::open(&[named(&upstream, ""), allowing(&upstream), fixed].join("\n")).await;
        let url = format!("http://{}/m", upstream.address);
        for target in ["/scrape/t", "/metrics", &format!("/proxy?target={url}"), &url] {
            let reply = house.get(target, "X-Prometheus-Scrape-Timeout-Seconds: 0.15\r\n").await;
            assert_eq!(reply.whole, whole, "{name} by {target}");
            assert!(reply.status == status || (!whole && reply.status == CUT), "{name} by {target}");
            let taught = house.scorer.seen.lock().drain(..).count();
            assert_eq!(taught, usize::from(reply.is_up() && status == 200), "{name} by {target}");
            if status >= 502 && status != 503 {
                assert!(reply.text().starts_with("sidelong: "), "{}", reply.text());
            }
        }
    }
    // Nobody listens.
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let house = House::open(&format!("targets: [{{name: t, url: 'http://{port}/'}}]")).await;
    assert_eq!(house.get("/scrape/t", "").await.status, 502);
}

#[tokio::test]
async fn h5_hop_by_hop_headers_stop_here_both_ways() {
    let extra = "Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\n";
    let upstream = Upstream::page("text/plain", extra, b"").await;
    let house = House::before(&upstream, ", headers: {X-Tenant: ours}").await;
    let request = "GET /scrape/t HTTP/1.1\r\nHost: door\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\n\
                   Proxy-Authorization: Basic c2VjcmV0\r\nAuthorization: Bearer passed\r\nX-Tenant: theirs\r\n\r\n";
    let reply = house.send(request).await;
    assert!(
        reply.head.contains("x-kept: 1")
            && !reply.head.contains("x-hop")
            && !reply.head.contains("keep-alive")
    );
    let seen = upstream.requests.lock()[0].to_lowercase();
    assert!(seen.contains("authorization: bearer passed") && seen.contains("x-tenant: ours"), "{seen}");
    assert!(!seen.contains("secret") && !seen.contains("proxy-") && !seen.contains("theirs"), "{seen}");
    assert!(
        seen.contains(&format!("host: {}\r\n", upstream.address)) && seen.contains("sidelong-hop: me"),
        "{seen}"
    );
}

#[tokio::test]
async fn f37_a_target_that_is_ourselves_is_508_after_one_hop() {
    let house = House::open("targets: []").await;
    let own = house.address;
    let config = format!("targets: [{{name: t, url: 'http://{own}/scrape/t'}}]");
    // The same door again, now that its port is known.
    let door = house.door.reconfigured(&serde_saphyr::from_str(&config).expect("valid")).expect("a door");
    let request = Request::get("/scrape/t").body(()).expect("a request");
    let answer = door.handle(request).await;
    assert_eq!(answer.status(), StatusCode::LOOP_DETECTED);
    assert!(house.metrics().contains("requests_total{result=\"loop\"} 1"), "{}", house.metrics());
}

#[tokio::test]
async fn p10_the_upstream_is_left_when_the_scraper_leaves() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 50\r\n\r\nup 1\n";
    let mut upstream = Upstream::start(Answer::Stall(head.to_vec())).await;
    let house = House::before(&upstream, "").await;
    let mut stream = TcpStream::connect(house.address).await.expect("the door is open");
    stream.write_all(b"GET /scrape/t HTTP/1.1\r\nHost: door\r\n\r\n").await.expect("written");
    stream.read_u8().await.expect("an answer begins");
    drop(stream);
    upstream.gone.recv().await.expect("the upstream sees it");
    assert_eq!(upstream.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn b3_one_scrape_too_many_is_503() {
    let upstream = Upstream::start(Answer::Stall(Vec::new())).await;
    let house = House::open(&format!("{}\nmax_concurrent_scrapes: 0", named(&upstream, ""))).await;
    let reply = house.get("/scrape/t", "").await;
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("max_concurrent_scrapes"));
}
