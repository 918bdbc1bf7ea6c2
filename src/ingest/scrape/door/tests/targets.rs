//! Where the door goes, and with what.

use super::*;

#[tokio::test]
async fn b15_an_https_target_gets_its_own_credentials_and_no_other_does() {
    let (authority, files) = (Authority::new(), Files::new());
    files.write_pair(&authority.issue("localhost"));
    let ca = files.write("ca.pem", &authority.pem());
    files.write("token", "own-token");
    let web = format!(
        "tls_server_config: {{cert_file: {0}/cert.pem, key_file: {0}/key.pem}}",
        files.path("").display()
    );
    let web = files.write("web.yml", &web);
    let gate = Arc::new(WebGate::open(Some(&web), Arc::default()).expect("a web configuration"));
    let port = serve(gate).port();
    let options = format!(
        "tls_config: {{ca_file: {}}}, authorization: {{credentials_file: {}}}",
        ca.display(),
        files.path("token").display()
    );
    let allow = format!("allow: [{{hosts: [localhost], ports: [{port}], schemes: [https]}}]");
    let house =
        House::open(&format!("targets: [{{name: t, url: 'https://localhost:{port}/', {options}}}]\n{allow}"))
            .await;
    let reply = house.get("/scrape/t", "Authorization: Bearer theirs\r\n").await;
    assert_eq!(
        (reply.status, reply.text().contains("authorization=Bearer own-token")),
        (200, true),
        "{}",
        reply.text()
    );
    // Without the authority of the configured target the same server is a stranger.
    let reply = house.get(&format!("/proxy?target=https://localhost:{port}/"), "").await;
    assert_eq!(reply.status, 502, "{}", reply.text());
}

#[tokio::test]
async fn b14_targets_that_no_rule_names_are_refused_and_counted() {
    let upstream = Upstream::page("text/plain", "", PAGE.as_bytes()).await;
    let house = House::open(&allowing(&upstream)).await;
    let check = async |target: &str, status: u16| {
        assert_eq!(house.get(target, "").await.status, status, "{target}");
    };
    let url = format!("http://{}/m", upstream.address);
    check(&format!("/proxy?target={}", url.replace("://", "%3A%2F%2F")), 200).await;
    check(&format!("/proxy?a=b&target={url}"), 200).await;
    assert!(upstream.requests.lock()[1].starts_with("GET /m?a=b HTTP/1.1"));
    check("http://127.0.0.2/", 403).await;
    check("/proxy?target=http://169.254.169.254/latest", 403).await;
    check("/proxy?target=http://2130706433/", 403).await;
    check("/proxy?target=", 403).await;
    check("/proxy", 400).await;
    check("/scrape/other", 404).await;
    check("/metrics", 404).await;
    assert_eq!(
        house.send("POST /proxy?target=x HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n").await.status,
        405
    );
    let metrics = house.metrics();
    for reason in ["not_allowed", "metadata", "spelling"] {
        let line = format!("refused_targets_total{{reason=\"{reason}\"}} ");
        assert!(metrics.contains(&line) && !metrics.contains(&(line + "0")), "{metrics}");
    }
}

#[tokio::test]
async fn h10_a_push_through_the_proxy_is_not_this_doors() {
    let house = House::open("targets: []").await;
    let takes = |method: &str, uri: &str| {
        house.door.takes(&Request::builder().method(method).uri(uri).body(()).expect("a request"))
    };
    assert!(takes("GET", "http://h/metrics") && takes("CONNECT", "h:443"));
    assert!(takes("GET", "/scrape/t") && takes("GET", "/proxy?target=x"));
    assert!(
        !takes("POST", "http://h/api/v1/write")
            && !takes("POST", "/api/v1/write")
            && !takes("GET", "/metrics")
    );
}
