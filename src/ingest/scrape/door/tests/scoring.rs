//! What scoring may do to a page, and what a page teaches.

use super::*;

#[tokio::test]
async fn p28_only_the_first_scrape_of_an_interval_teaches() {
    let upstream = Upstream::page("text/plain", "", PAGE.as_bytes()).await;
    let house = House::before(&upstream, "").await;
    let first = house.get("/scrape/t", "").await;
    let second = house.get("/scrape/t", "").await;
    assert_eq!(first.body, second.body);
    house.get("/scrape/t?", "").await;
    let seen = house.scorer.seen.lock().clone();
    let taught = |teach| ("t".to_owned(), 2, teach);
    assert_eq!(seen, [taught(true), taught(false), taught(false)]);
    let door = house.door.reconfigured(&serde_saphyr::from_str(&named(&upstream, "")).expect("valid"));
    let request = Request::get("/scrape/t").body(()).expect("a request");
    let answer = door.expect("a door").handle(request).await;
    answer.into_body().collect().await.expect("a page");
    assert!(!house.scorer.seen.lock()[3].2, "a reload forgot the lesson");
}

#[tokio::test]
async fn p28_a_page_that_a_query_chose_teaches_series_of_its_own() {
    let upstream = Upstream::page("text/plain", "", PAGE.as_bytes()).await;
    let house = House::before(&upstream, "").await;
    for query in ["", "?collect[]=cpu", "?x=1", "?collect[]=cpu"] {
        house.get(&format!("/scrape/t{query}"), "").await;
    }
    let seen = house.scorer.seen.lock().clone();
    let lessons: Vec<_> = seen.iter().map(|(scope, _, teach)| (scope.as_str(), *teach)).collect();
    assert_eq!(
        lessons,
        [("t", true), ("t?collect[]=cpu", true), ("t?x=1", true), ("t?collect[]=cpu", false)]
    );
    let mut taught: Vec<_> = lessons.iter().filter(|(_, teach)| *teach).map(|(scope, _)| scope).collect();
    taught.dedup();
    assert_eq!(taught.len(), 3, "no scope was taught twice");
}

#[tokio::test]
async fn a_failed_page_takes_no_lesson() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 50\r\n\r\nup 1\n";
    let upstream = Upstream::start(Answer::Close(cut.to_vec())).await;
    let house = House::before(&upstream, "").await;
    assert!(!house.get("/scrape/t", "").await.is_up());
    assert!(house.door.shared.kept.lessons.take("t", Duration::from_secs(60), Instant::now()));
}

#[tokio::test]
async fn t27_a_broken_or_slow_scorer_costs_scores_only() {
    let upstream = Upstream::page("text/plain", "", PAGE.as_bytes()).await;
    let yaml = format!("{}\nscore_budget: 1ms", named(&upstream, ""));
    for (scorer, reason) in [
        (Scorer { never: true, ..Scorer::default() }, "budget"),
        (Scorer { panics: true, ..Scorer::default() }, "panic"),
    ] {
        let house = House::with(&yaml, scorer).await;
        let reply = house.get("/scrape/t", "").await;
        assert_eq!((reply.is_up(), reply.text()), (true, PAGE));
        let line = format!("sidelong_scrape_unscored_pages_total{{reason=\"{reason}\"}} 1");
        assert!(house.metrics().contains(&line), "{}", house.metrics());
    }
}
