//! F-37: a proxy that meets itself.

use crate::harness::http;
use crate::harness::scratch::Scratch;
use crate::harness::sidelong::{Sidelong, free_address};

fn target(address: &str) -> String {
    format!("scrape: {{targets: [{{name: loop, url: 'http://{address}/scrape/loop'}}]}}\n")
}

#[tokio::test]
async fn f37_a_target_that_is_ourselves_is_a_508() {
    let scratch = Scratch::new();
    let address = free_address();
    let sidelong = Sidelong::start_at(&scratch, &target(&address), &address).await;
    assert_eq!(http::get(&sidelong.url("/scrape/loop")).await.unwrap().status, 508);
}

#[tokio::test]
async fn f37_a_ring_of_two_ends_after_one_round() {
    let scratch = Scratch::new();
    let (a, b) = (free_address(), free_address());
    let first = Sidelong::start_at(&scratch, &target(&b), &a).await;
    let _second = Sidelong::start_at(&scratch, &target(&a), &b).await;
    assert_eq!(http::get(&first.url("/scrape/loop")).await.unwrap().status, 508);
}

#[tokio::test]
async fn f37_a_downstream_that_is_ourselves_is_a_508() {
    let scratch = Scratch::new();
    let address = free_address();
    let config = format!("downstream: {{url: 'http://{address}/api/v1/write'}}\n");
    let sidelong = Sidelong::start_at(&scratch, &config, &address).await;
    assert_eq!(super::push(&sidelong, super::one("level")).await.status, 508);
}
