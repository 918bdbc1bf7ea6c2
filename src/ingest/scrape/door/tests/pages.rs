//! What a page becomes: its bytes, and the scores behind them.

use super::*;

#[tokio::test]
async fn the_page_passes_unchanged_and_scores_follow_it() {
    let upstream =
        Upstream::page("text/plain; version=0.0.4", "ETag: x\r\nX-Own: kept\r\n", PAGE.as_bytes()).await;
    let house = House::before(&upstream, "").await;
    let reply = house.get("/scrape/t?collect[]=cpu", "Accept: text/plain\r\n").await;
    assert!(reply.is_up());
    assert_eq!(reply.text(), format!("{PAGE}{SCORED}"));
    assert!(
        reply.head.contains("content-type: text/plain; version=0.0.4\r\n")
            && reply.head.contains("x-own: kept")
    );
    assert!(!reply.head.contains("content-length") && !reply.head.contains("etag"));
    assert!(upstream.requests.lock()[0].starts_with("GET /m?collect[]=cpu HTTP/1.1\r\n"));
    let metrics = house.metrics();
    for line in [
        "sidelong_scrape_requests_total{result=\"scored\"} 1",
        "sidelong_scrape_appended_series_total 2",
        "sidelong_scrape_samples_total 2",
        "sidelong_scrape_running 0",
        &format!("sidelong_scrape_received_bytes_total {}", PAGE.len()),
        &format!("sidelong_scrape_passed_bytes_total {}", PAGE.len() + SCORED.len()),
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn p12_scores_stand_before_the_eof_of_openmetrics() {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let check = async |page: &str, want: &str| {
        let upstream = Upstream::page(kind, "", page.as_bytes()).await;
        let reply = House::before(&upstream, "").await.get("/scrape/t", "").await;
        assert_eq!((reply.is_up(), reply.text()), (true, want), "{page}");
    };
    check(&format!("{PAGE}# EOF\n"), &format!("{PAGE}{SCORED}# EOF\n")).await;
    check(&format!("{PAGE}# EOF"), &format!("{PAGE}{SCORED}# EOF")).await;
    // Without its end the page is none: the scraper refuses it, and nobody scores it.
    check(PAGE, PAGE).await;
    check(&format!("{PAGE}# EOF\nmore 1\n"), &format!("{PAGE}# EOF\nmore 1\n")).await;
}

#[tokio::test]
async fn gzip_of_text_gets_a_second_member_and_openmetrics_is_sent_on_decoded() {
    let zipped = |text: &str| {
        let mut bytes = Vec::new();
        compress_gzip(text.as_bytes(), &mut bytes).expect("compressed");
        bytes
    };
    let page = zipped(PAGE);
    let upstream = Upstream::page("text/plain", "Content-Encoding: gzip\r\n", &page).await;
    let reply = House::before(&upstream, "").await.get("/scrape/t", "Accept-Encoding: gzip\r\n").await;
    assert!(reply.is_up() && reply.head.contains("content-encoding: gzip"));
    assert!(reply.body.starts_with(&page));
    let mut plain = Buffer::new();
    decompress_gzip(&reply.body, Cap::default(), &mut plain).expect("gzip");
    assert_eq!(std::str::from_utf8(&plain).expect("UTF-8"), format!("{PAGE}{SCORED}"));
    assert!(upstream.requests.lock()[0].to_lowercase().contains("accept-encoding: gzip\r\n"));

    let kind = "application/openmetrics-text; version=1.0.0";
    let page = zipped(&format!("{PAGE}# EOF\n"));
    let upstream = Upstream::page(kind, "Content-Encoding: gzip\r\n", &page).await;
    let accept = format!("Accept: {kind}\r\nAccept-Encoding: gzip\r\n");
    let reply = House::before(&upstream, "").await.get("/scrape/t", &accept).await;
    assert!(reply.is_up() && !reply.head.contains("content-encoding"));
    assert_eq!(reply.text(), format!("{PAGE}{SCORED}# EOF\n"));
    assert!(upstream.requests.lock()[0].to_lowercase().contains("accept-encoding: identity\r\n"));

    for (kind, cut) in [("text/plain", true), (kind, false)] {
        // The framing is whole, the member is not: as without us for text, a failure where we decode.
        let upstream = Upstream::page(kind, "Content-Encoding: gzip\r\n", &page[..page.len() - 9]).await;
        let reply = House::before(&upstream, "").await.get("/scrape/t", "").await;
        assert_eq!(reply.whole, cut, "{kind}");
    }
}

#[tokio::test]
async fn a_gzipped_openmetrics_page_over_the_limits_passes_whole_and_unscored() {
    let kind = "application/openmetrics-text; version=1.0.0";
    let filler = "# HELP a a\n".repeat(1 << 18);
    let mut zipped = Vec::new();
    let check = async |page: &str, options: &str, want: String, zipped: &[u8]| {
        let upstream = Upstream::page(kind, "Content-Encoding: gzip\r\n", zipped).await;
        let house = House::before(&upstream, options).await;
        let reply = house.get("/scrape/t", &format!("Accept: {kind}\r\n")).await;
        assert!(reply.is_up(), "{options}");
        assert!(reply.text() == want, "{} of {} bytes, {options}", reply.body.len(), page.len());
        house.scorer.seen.lock().len()
    };
    let small = format!("{PAGE}# EOF\n");
    compress_gzip(small.as_bytes(), &mut zipped).expect("compressed");
    let seen = check(&small, ", body_size_limit: 10B", small.clone(), &zipped).await;
    assert_eq!(seen, 0, "over body_size_limit nothing is scored");
    // Hundreds of bytes to one: no bound of what is passed on, only of what is read.
    let (large, scored) = (format!("{filler}{PAGE}# EOF\n"), format!("{filler}{PAGE}{SCORED}# EOF\n"));
    zipped.clear();
    compress_gzip(large.as_bytes(), &mut zipped).expect("compressed");
    assert!(zipped.len() * 64 < large.len(), "{} of {}", zipped.len(), large.len());
    assert_eq!(check(&large, ", body_size_limit: 1MiB", large.clone(), &zipped).await, 0);
    assert_eq!(check(&large, "", scored, &zipped).await, 1);
}

#[tokio::test]
async fn protobuf_scores_are_further_messages_and_a_gzipped_pages_are_a_second_member() {
    use prost::Message;

    use crate::wire::generated::io::prometheus::client as pb;
    let metric = pb::Metric { gauge: Some(pb::Gauge { value: Some(1.0) }), ..Default::default() };
    let family = pb::MetricFamily {
        name: Some("up".to_owned()),
        r#type: Some(pb::MetricType::Gauge as i32),
        metric: vec![metric],
        ..Default::default()
    };
    let page = family.encode_length_delimited_to_vec();
    let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    let check = |body: &[u8]| {
        let tail = body.strip_prefix(&page[..]).expect("the page first");
        let scores = pb::MetricFamily::decode_length_delimited(tail).expect("a family");
        assert_eq!((scores.name(), scores.metric.len()), ("anomaly_score", 1));
    };
    let upstream = Upstream::page(kind, "", &page).await;
    let reply = House::before(&upstream, "").await.get("/scrape/t", "").await;
    assert!(reply.is_up());
    check(&reply.body);

    let mut member = Vec::new();
    compress_gzip(&page, &mut member).expect("compressed");
    let upstream = Upstream::page(kind, "Content-Encoding: gzip\r\n", &member).await;
    let headers = format!("Accept: {kind}\r\nAccept-Encoding: gzip\r\n");
    let reply = House::before(&upstream, "").await.get("/scrape/t", &headers).await;
    assert!(reply.is_up() && reply.head.contains("content-encoding: gzip"));
    assert!(reply.body.starts_with(&member), "the target's own member first");
    let mut plain = Buffer::new();
    decompress_gzip(&reply.body, Cap::default(), &mut plain).expect("gzip");
    check(&plain);
}

#[tokio::test]
async fn p30_a_page_at_its_jobs_limit_stays_up() {
    let check = async |options: &str, scores: usize| {
        let upstream = Upstream::page("text/plain", "", PAGE.as_bytes()).await;
        let house = House::before(&upstream, options).await;
        let reply = house.get("/scrape/t", "").await;
        assert!(reply.is_up());
        let added = reply.text().strip_prefix(PAGE).expect("the page first");
        assert_eq!(
            added.lines().filter(|line| line.starts_with("anomaly_score")).count(),
            scores,
            "{options}"
        );
        let dropped = format!("sidelong_scrape_dropped_scores_total{{reason=\"limit\"}} {}\n", 2 - scores);
        assert!(house.metrics().contains(&dropped), "{options}: {}", house.metrics());
    };
    check(", sample_limit: 2", 0).await;
    check(", sample_limit: 3", 1).await;
    check(", sample_limit: 4", 2).await;
    // The scores have two and three labels, and the job adds two.
    check(", label_limit: 3", 0).await;
    check(", label_limit: 4", 1).await;
    check(", label_limit: 5", 2).await;
    check(", label_limit: 5, target_labels: 3", 1).await;
}

#[tokio::test]
async fn what_is_not_understood_passes_unscored_with_its_length() {
    let check = async |kind: &str, extra: &str, reason: &str| {
        let upstream = Upstream::page(kind, extra, PAGE.as_bytes()).await;
        let house = House::before(&upstream, ", body_size_limit: 1KiB").await;
        let reply = house.get("/scrape/t", "").await;
        assert_eq!((reply.is_up(), reply.text()), (true, PAGE), "{kind}");
        assert!(reply.head.contains(&format!("content-length: {}\r\n", PAGE.len())));
        let line = format!("unscored_pages_total{{reason=\"{reason}\"}} 1");
        assert!(house.metrics().contains(&line), "{}", house.metrics());
    };
    check("text/html", "", "content_type").await;
    check("application/openmetrics-text; version=2.0.0", "", "content_type").await;
    check("text/plain", "Content-Encoding: GZIP\r\n", "content_encoding").await;
    let long = PAGE.repeat(100);
    let upstream = Upstream::page("text/plain", "", long.as_bytes()).await;
    let house = House::before(&upstream, ", body_size_limit: 1KiB").await;
    assert_eq!(house.get("/scrape/t", "").await.text(), long);
    assert!(house.metrics().contains("unscored_pages_total{reason=\"body_size\"} 1"));
}

#[tokio::test]
async fn p11_a_page_without_its_last_line_feed_gets_one_before_the_scores() {
    let upstream = Upstream::page("text/plain", "", b"up 1\nnot a line\nm{a=\"b\"} 2").await;
    let house = House::before(&upstream, "").await;
    let reply = house.get("/scrape/t", "").await;
    assert_eq!(reply.text(), format!("up 1\nnot a line\nm{{a=\"b\"}} 2\n{SCORED}"));
    assert!(house.metrics().contains("sidelong_scrape_unparsed_lines_total 1"));
}

#[tokio::test]
async fn p30_a_family_of_the_page_wins() {
    let page = "anomaly_score{for=\"up\"} 9\n";
    let upstream = Upstream::page("text/plain", "", page.as_bytes()).await;
    let house = House::before(&upstream, "").await;
    assert_eq!(house.get("/scrape/t", "").await.text(), page);
    assert!(house.metrics().contains("dropped_scores_total{reason=\"clash\"} 1"));
}
