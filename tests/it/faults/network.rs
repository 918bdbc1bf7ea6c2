//! F-6 to F-9: what a network does, in a namespace of its own.

use super::{RULES, one, push};
use crate::harness::dns::Dns;
use crate::harness::netns::Network;
use crate::harness::process::Process;
use crate::harness::scratch::Scratch;
use crate::harness::scripted::{Reply, Scripted};
use crate::harness::sidelong::Sidelong;
use crate::harness::{eventually, http};
use std::net::Ipv4Addr;
use std::path::Path;

/// A downstream on the far side of a network: it answers 204 to everything.
async fn far_downstream(scratch: &Scratch, network: &Network) -> Process {
    let program = format!(
        "import http.server\n\
         class H(http.server.BaseHTTPRequestHandler):\n\
         \x20 protocol_version = 'HTTP/1.1'\n\
         \x20 def do_POST(self):\n\
         \x20   self.rfile.read(int(self.headers['Content-Length'])); self.send_response(204); self.end_headers()\n\
         \x20 def do_GET(self):\n\
         \x20   self.send_response(200); self.send_header('Content-Length', '0'); self.end_headers()\n\
         http.server.ThreadingHTTPServer(('{}', 80), H).serve_forever()\n",
        network.far()
    );
    let mut command = network.command("python3");
    let url = format!("http://{}/", network.far());
    Process::start(scratch, "far", command.arg("-c").arg(program)).ready(&url).await
}

async fn gateway(scratch: &Scratch, nft: &Path) -> (Network, Process, Sidelong) {
    let network = Network::new(nft);
    let far = far_downstream(scratch, &network).await;
    let config = format!("downstream: {{url: 'http://{}/write', timeout: 2s}}\n{RULES}", network.far());
    let sidelong = Sidelong::start(scratch, &config).await;
    (network, far, sidelong)
}

async fn recovers(sidelong: &Sidelong) {
    eventually("samples pass again", async || {
        (push(sidelong, one("level")).await.status == 204).then_some(())
    })
    .await;
}

#[tokio::test]
async fn f6_a_downstream_that_is_silently_gone_is_a_504_and_comes_back() {
    let nft = tool!(Nftables);
    let scratch = Scratch::new();
    let (network, _far, sidelong) = gateway(&scratch, &nft).await;
    assert_eq!(push(&sidelong, one("level")).await.status, 204);
    network.link("down");
    assert!(matches!(push(&sidelong, one("level")).await.status, 502 | 504));
    network.link("up");
    recovers(&sidelong).await;
    network.rule("tcp dport 80 drop");
    assert!(matches!(push(&sidelong, one("level")).await.status, 502 | 504));
    network.rule("");
    recovers(&sidelong).await;
}

#[tokio::test]
async fn f7_a_connection_reset_by_the_network_is_a_502() {
    let nft = tool!(Nftables);
    let scratch = Scratch::new();
    let (network, _far, sidelong) = gateway(&scratch, &nft).await;
    assert_eq!(push(&sidelong, one("level")).await.status, 204);
    network.rule("tcp dport 80 reject with tcp reset");
    assert_eq!(push(&sidelong, one("level")).await.status, 502);
    network.rule("");
    recovers(&sidelong).await;
}

#[tokio::test]
async fn f8_a_fifth_of_all_packets_lost_slows_and_breaks_nothing() {
    let nft = tool!(Nftables);
    let scratch = Scratch::new();
    let (network, _far, sidelong) = gateway(&scratch, &nft).await;
    network.rule("tcp dport 80 numgen random mod 100 < 20 drop");
    for _ in 0..20 {
        // A request may meet its deadline; the next one is served.
        assert!(matches!(push(&sidelong, one("level")).await.status, 204 | 502 | 504));
    }
    network.rule("");
    recovers(&sidelong).await;
}

/// The name is allowed, and first resolves to what is allowed; then to a metadata service.
#[tokio::test]
async fn f9_a_name_that_flips_to_a_metadata_address_is_refused() {
    let nft = tool!(Nftables);
    let scratch = Scratch::new();
    let network = Network::new(&nft);
    let near: Ipv4Addr = network.near().parse().unwrap();
    let dns = Dns::start(near.into(), near).await;
    network.resolve_by(&network.near());
    let target = Scripted::start_on(near.into(), |_| Reply::page("text/plain", "level 1\n")).await;
    let port = target.address.port();
    let config = format!(
        "scrape: {{allow: [{{hosts: [flip.test], ports: [{port}]}}, {{networks: ['{near}/32'], ports: [{port}]}}]}}\n"
    );
    let sidelong = Sidelong::start_in(&scratch, &config, &network).await;
    let url = sidelong.url(&format!("/proxy?target=http://flip.test:{port}/metrics"));
    let first = http::get(&url).await.unwrap();
    assert_eq!((first.status, &*first.text()), (200, "level 1\n"));
    dns.set(Ipv4Addr::new(169, 254, 169, 254));
    assert_eq!(http::get(&url).await.unwrap().status, 403);
    assert_eq!(target.requests().len(), 1);
}

#[tokio::test]
async fn f9_a_name_that_does_not_resolve_is_a_failed_scrape() {
    let scratch = Scratch::new();
    let config = "scrape: {targets: [{name: gone, url: 'http://sidelong-test.invalid/'}]}\n";
    let sidelong = Sidelong::start(&scratch, config).await;
    assert_eq!(http::get(&sidelong.url("/scrape/gone")).await.unwrap().status, 502);
}
