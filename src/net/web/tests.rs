//! TLS and authentication of a real listener, and what becomes of it when files change.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::net::client::{BasicAuthConfig, ClientError, HttpClientConfig, TlsConfig};
use crate::net::testing::{A_WHILE, Authority, Files, client, get_tls, send, serve, trusting};

const TLS: &str = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n";

/// A gate by `web.yml` in `files`.
fn gate(files: &Files) -> Arc<WebGate> {
    Arc::new(WebGate::open(Some(&files.path("web.yml")), Arc::default()).unwrap())
}

/// Files of a listener with a certificate by `authority`.
fn tls_files(authority: &Authority) -> Files {
    let files = Files::new();
    files.write("web.yml", TLS);
    files.write("ca.pem", &authority.pem());
    files.write_pair(&authority.issue("localhost"));
    files
}

fn users(files: &Files, users: &[(&str, &str)]) {
    let line =
        |(user, password): &(&str, &str)| format!("  {user}: {}\n", bcrypt::hash(password, 4).unwrap());
    let lines: String = users.iter().map(line).collect();
    files.write("web.yml", &format!("basic_auth_users:\n{lines}"));
}

fn basic(user: &str, password: &str) -> HttpClientConfig {
    let basic = BasicAuthConfig {
        username: user.to_owned(),
        password: crate::config::secret::Secret::new(password),
        password_file: None,
    };
    HttpClientConfig { basic_auth: Some(basic), ..HttpClientConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn a_listener_speaks_tls_and_only_to_who_trusts_it() {
    let authority = Authority::new();
    let files = tls_files(&authority);
    let gate = gate(&files);
    let address = serve(Arc::clone(&gate));
    assert_eq!(get_tls(&trusting(files.path("ca.pem")), address).await.unwrap().0, 200);
    files.write("other.pem", &Authority::new().pem());
    let error = get_tls(&trusting(files.path("other.pem")), address).await.unwrap_err();
    assert!(matches!(error, ClientError::Tls { .. }), "{error}");
    assert!(gate.metrics.expiry.get() > 1_700_000_000, "the expiry shows");
}

/// Nothing is waited for on the way: the clock stands still until the good client has its answer.
#[tokio::test]
async fn b9_a_stalled_handshake_holds_no_other_and_is_closed() {
    let authority = Authority::new();
    let files = tls_files(&authority);
    let address = serve(gate(&files));
    let mut stalled = Vec::new();
    // Nothing at all, and the beginning of a record that does not go on.
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        stalled.push(stream);
    }
    assert_eq!(get_tls(&trusting(files.path("ca.pem")), address).await.unwrap().0, 200);
    for stream in &stalled {
        let open = stream.try_read(&mut [0]).unwrap_err();
        assert_eq!(open.kind(), std::io::ErrorKind::WouldBlock, "the good client has not waited for its end");
    }
    tokio::time::pause(); // from now on the clock runs ahead to whatever is waited for
    for mut stream in stalled {
        let mut rest = Vec::new();
        let closed = stream.read_to_end(&mut rest);
        let _reset = tokio::time::timeout(A_WHILE, closed).await.expect("closed in time");
    }
}

#[tokio::test(start_paused = true)]
async fn f36_a_rotated_certificate_is_taken_over_and_no_connection_is_dropped() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = tls_files(&old);
    files.write("new-ca.pem", &new.pem());
    let gate = gate(&files);
    let address = serve(Arc::clone(&gate));
    let (kept, fresh) = (trusting(files.path("ca.pem")), trusting(files.path("new-ca.pem")));
    get_tls(&kept, address).await.unwrap();
    files.write_pair(&new.issue("localhost"));
    tokio::time::sleep(A_WHILE).await;
    get_tls(&fresh, address).await.unwrap();
    get_tls(&kept, address).await.expect("the open connection goes on");
    assert!(matches!(get_tls(&trusting(files.path("ca.pem")), address).await, Err(ClientError::Tls { .. })));
    assert_eq!(gate.metrics.reloads.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn f36_a_symlink_swap_is_a_rotation() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = Files::new();
    let swap = |version, authority: &Authority| {
        let (cert, key) = authority.issue("localhost");
        files.swap(version, &[("cert.pem", &cert), ("key.pem", &key), ("web.yml", TLS)]);
    };
    swap("..v1", &old);
    files.write("new-ca.pem", &new.pem());
    let address = serve(gate(&files));
    swap("..v2", &new);
    tokio::time::sleep(A_WHILE).await;
    get_tls(&trusting(files.path("new-ca.pem")), address).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn f36_a_half_written_certificate_keeps_the_old_one_and_shows() {
    let authority = Authority::new();
    let files = tls_files(&authority);
    let gate = gate(&files);
    let address = serve(Arc::clone(&gate));
    let (cert, key) = authority.issue("localhost");
    let check = |step: &'static str, successful: i64| {
        let (gate, ca) = (Arc::clone(&gate), files.path("ca.pem"));
        async move {
            tokio::time::sleep(A_WHILE).await;
            assert_eq!(gate.metrics.successful.get(), successful, "{step}");
            get_tls(&trusting(ca), address).await.expect(step);
        }
    };
    files.write("cert.pem", &format!("{cert:.300}"));
    check("half a certificate", 0).await;
    files.write("cert.pem", &cert);
    check("a certificate without its key", 0).await;
    std::fs::remove_file(files.path("cert.pem")).unwrap();
    check("no certificate", 0).await;
    files.write_pair(&(cert, key));
    check("the pair is complete", 1).await;
    assert!(gate.metrics.failures.get() >= 3);
}

#[tokio::test(start_paused = true)]
async fn f36_a_web_configuration_that_becomes_wrong_keeps_the_old_one() {
    let authority = Authority::new();
    let files = tls_files(&authority);
    let gate = gate(&files);
    let address = serve(Arc::clone(&gate));
    for wrong in ["tls_server_config: {cert: cert.pem}\n", "- a list\n", "basic_auth_users: {a: plain}\n"] {
        files.write("web.yml", wrong);
        tokio::time::sleep(A_WHILE).await;
        assert_eq!(gate.metrics.successful.get(), 0, "{wrong}");
        get_tls(&trusting(files.path("ca.pem")), address).await.expect(wrong);
    }
    assert!(gate.reload().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn b17_mutual_tls_asks_for_a_certificate_of_the_right_authority() {
    let authority = Authority::new();
    let files = tls_files(&authority);
    let clients = Authority::new();
    files.write("clients.pem", &clients.pem());
    files.write(
        "web.yml",
        "tls_server_config: {cert_file: cert.pem, key_file: key.pem, min_version: TLS13,\n  \
         client_auth_type: RequireAndVerifyClientCert, client_ca_file: clients.pem}\n",
    );
    let address = serve(gate(&files));
    let known = showing(&files, "known", clients.issue("prometheus"));
    assert_eq!(get_tls(&known, address).await.unwrap().0, 200);
    let stranger = showing(&files, "stranger", Authority::new().issue("prometheus"));
    assert!(get_tls(&stranger, address).await.is_err());
    assert!(get_tls(&trusting(files.path("ca.pem")), address).await.is_err());
}

/// A client that trusts the listener and shows the certificate `name`.
fn showing(files: &Files, name: &str, (cert, key): (String, String)) -> crate::net::client::HttpClient {
    let tls_config = TlsConfig {
        ca_file: Some(files.path("ca.pem")),
        cert_file: Some(files.write(&format!("{name}.pem"), &cert)),
        key_file: Some(files.write(&format!("{name}.key"), &key)),
        ..TlsConfig::default()
    };
    client(&HttpClientConfig { tls_config, ..HttpClientConfig::default() })
}

#[tokio::test(start_paused = true)]
async fn b17_of_clients_with_a_good_certificate_those_of_the_allowed_names_come_in() {
    let authority = Authority::new();
    let files = tls_files(&authority);
    let clients = Authority::new();
    files.write("clients.pem", &clients.pem());
    files.write(
        "web.yml",
        "tls_server_config: {cert_file: cert.pem, key_file: key.pem,\n  \
         client_auth_type: RequireAndVerifyClientCert, client_ca_file: clients.pem,\n  \
         client_allowed_sans: [prometheus.example, '10.1.2.3', '2001:db8::1']}\n",
    );
    let address = serve(gate(&files));
    for (name, allowed) in [
        ("prometheus.example", true),
        ("10.1.2.3", true),
        ("2001:0db8:0::1", true),
        ("10.1.2.4", false),
        ("other.prometheus.example", false),
    ] {
        let answer = get_tls(&showing(&files, "client", clients.issue(name)), address).await;
        assert_eq!(answer.is_ok_and(|(status, _)| status == 200), allowed, "{name}");
    }
    let stranger = showing(&files, "client", Authority::new().issue("prometheus.example"));
    assert!(get_tls(&stranger, address).await.is_err(), "the right name, and nobody who signed it");
    assert!(get_tls(&trusting(files.path("ca.pem")), address).await.is_err());
}

/// The version, suite and group that a listener by `options` agrees on with a client of everything.
async fn agreed(options: &str) -> String {
    let authority = Authority::new();
    let files = tls_files(&authority);
    files.write(
        "web.yml",
        &format!("tls_server_config: {{cert_file: cert.pem, key_file: key.pem, {options}}}\n"),
    );
    let address = serve(gate(&files));
    let roots = crate::net::tls::PemFile::read(&files.path("ca.pem")).unwrap().roots().unwrap();
    let config = rustls::ClientConfig::builder_with_provider(crate::net::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let connection = stream.get_ref().1;
    let (version, suite, group) = (
        connection.protocol_version().unwrap(),
        connection.negotiated_cipher_suite().unwrap().suite(),
        connection.negotiated_key_exchange_group().unwrap().name(),
    );
    format!("{version:?} {suite:?} {group:?}")
}

#[tokio::test]
async fn versions_suites_and_groups_are_those_of_the_file() {
    let check = async |options: &str, want: &[&str]| {
        let agreed = agreed(options).await;
        assert!(want.iter().all(|want| agreed.contains(want)), "{options}: {agreed}");
    };
    check("", &["TLSv1_3"]).await;
    check("max_version: TLS12", &["TLSv1_2"]).await;
    let (chacha, aes) =
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    check(&format!("max_version: TLS12, cipher_suites: [{chacha}, {aes}]"), &[chacha]).await;
    check(&format!("max_version: TLS12, cipher_suites: [{aes}, {chacha}]"), &[aes]).await;
    let clients_order = "prefer_server_cipher_suites: false";
    check(&format!("max_version: TLS12, cipher_suites: [{chacha}, {aes}], {clients_order}"), &[aes]).await;
    // As in Go, the suites of 1.3 are not the file's to choose.
    check(&format!("cipher_suites: [TLS_AES_128_GCM_SHA256, {aes}]"), &["TLSv1_3"]).await;
    check("curve_preferences: [CurveP384]", &["secp384r1"]).await;
    check("curve_preferences: [CurveP384, CurveP256]", &["secp256r1"]).await;
}

#[tokio::test(start_paused = true)]
async fn more_requests_than_the_rate_limit_are_refused_before_their_credentials_are_looked_at() {
    let files = Files::new();
    let hash = bcrypt::hash("right", 4).unwrap();
    let users = format!("basic_auth_users: {{prometheus: '{hash}'}}\n");
    files.write("web.yml", &format!("{users}rate_limit: {{interval: 1m, burst: 2}}\n"));
    let gate = gate(&files);
    let address = serve(Arc::clone(&gate));
    let client = client(&basic("prometheus", "right"));
    let ask = async || {
        let request =
            Request::get(format!("http://{address}/")).body(http_body_util::Full::default()).unwrap();
        let answer = client.request(request, std::time::Duration::from_secs(9)).await.unwrap();
        (answer.status().as_u16(), answer.headers().contains_key("retry-after"))
    };
    assert_eq!([ask().await, ask().await, ask().await], [(200, false), (200, false), (503, true)]);
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    assert_eq!([ask().await, ask().await], [(200, false), (503, true)]);
    files.write("web.yml", &format!("{users}rate_limit: {{interval: 0, burst: 2}}\n"));
    gate.reload().await.unwrap();
    for _ in 0..9 {
        assert_eq!(ask().await, (200, false));
    }
}

#[tokio::test(start_paused = true)]
async fn the_name_of_the_peer_is_verified_unless_configured_otherwise() {
    let authority = Authority::new();
    let files = tls_files(&authority);
    files.write_pair(&authority.issue("other.example"));
    let address = serve(gate(&files));
    let of = |tls_config| client(&HttpClientConfig { tls_config, ..HttpClientConfig::default() });
    let ca_file = Some(files.path("ca.pem"));
    let by_url = TlsConfig { ca_file: ca_file.clone(), ..TlsConfig::default() };
    assert!(matches!(get_tls(&of(by_url), address).await, Err(ClientError::Tls { .. })));
    let named = TlsConfig { ca_file, server_name: "other.example".into(), ..TlsConfig::default() };
    assert_eq!(get_tls(&of(named), address).await.unwrap().0, 200);
    let blind = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    assert_eq!(get_tls(&of(blind), address).await.unwrap().0, 200);
}

#[tokio::test(start_paused = true)]
async fn b18_a_client_takes_over_a_new_authority_and_keeps_the_old_over_half_a_file() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = tls_files(&old);
    let ca = files.write("client-ca.pem", &old.pem());
    let address = serve(gate(&files));
    let client = trusting(ca);
    // Closed connections make each request shake hands anew.
    let ask = |client| async move {
        tokio::time::sleep(std::time::Duration::from_secs(120)).await;
        get_tls(client, address).await
    };
    files.write("client-ca.pem", &format!("{:.100}", old.pem()));
    ask(&client).await.expect("half a file changes nothing");
    files.write("client-ca.pem", &new.pem());
    assert!(ask(&client).await.is_err(), "the new authority did not sign the listener's certificate");
    files.write_pair(&new.issue("localhost"));
    ask(&client).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn b17_only_known_users_with_their_password_come_in() {
    let files = Files::new();
    users(&files, &[("prometheus", "right"), ("empty", "")]);
    let address = serve(gate(&files));
    let check = |user: &'static str, password: &'static str, want: u16| async move {
        let client = client(&basic(user, password));
        let request = || Request::get(format!("http://{address}/"));
        for _ in 0..2 {
            let (status, text) = send(&client, address, request()).await.unwrap();
            assert_eq!(status, want, "{user} {password}");
            if want == 200 {
                assert_eq!(text, "authorization=- proxy=- consumed=true");
            }
        }
    };
    check("prometheus", "right", 200).await;
    check("empty", "", 200).await;
    check("prometheus", "wrong", 401).await;
    check("prometheus", "", 401).await;
    check("nobody", "right", 401).await;
    check("", "", 401).await;
}

#[tokio::test(start_paused = true)]
async fn b17_a_refusal_says_how_to_authenticate_and_comes_before_the_body() {
    let files = Files::new();
    users(&files, &[("prometheus", "right")]);
    let address = serve(gate(&files));
    for header in
        ["", "authorization: Bearer right\r\n", "authorization: Basic !\r\n", "authorization: Basic cm\r\n"]
    {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!("POST /api/v1/write HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n{header}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"Unauthorized\n") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "closed before the answer");
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(answer.contains("www-authenticate: Basic realm=\"sidelong\""), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn h11_a_proxy_request_shows_proxy_credentials_and_keeps_those_of_the_target() {
    let files = Files::new();
    users(&files, &[("prometheus", "right")]);
    let address = serve(gate(&files));
    let check = |request: String, want: &'static [&'static str]| async move {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        for want in want {
            assert!(answer.contains(want), "{request}\n{answer}");
        }
    };
    let target = "authorization: Bearer target\r\n";
    let proxy = "proxy-authorization: Basic cHJvbWV0aGV1czpyaWdodA==\r\n";
    let get = |headers: &str| {
        format!("GET http://node:9100/metrics HTTP/1.1\r\nhost: node\r\nconnection: close\r\n{headers}\r\n")
    };
    check(get(target), &["HTTP/1.1 407 ", "proxy-authenticate: Basic"]).await;
    check(get(&format!("{target}{proxy}")), &["200 OK", "authorization=Bearer target proxy=- consumed=true"])
        .await;
    let connect = "CONNECT node:443 HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n".to_owned();
    check(connect, &["HTTP/1.1 407 "]).await;
}

#[tokio::test(start_paused = true)]
async fn b18_a_user_taken_out_of_the_file_is_out_even_if_remembered() {
    let files = Files::new();
    users(&files, &[("prometheus", "right")]);
    let address = serve(gate(&files));
    let client = client(&basic("prometheus", "right"));
    let ask = || Request::get(format!("http://{address}/"));
    assert_eq!(send(&client, address, ask()).await.unwrap().0, 200);
    users(&files, &[("prometheus", "changed")]);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(send(&client, address, ask()).await.unwrap().0, 401);
    users(&files, &[("other", "right")]);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(send(&client, address, ask()).await.unwrap().0, 401);
}

#[tokio::test]
async fn without_a_file_the_listener_is_plain_and_open() {
    let address = serve(Arc::new(WebGate::open(None, Arc::default()).unwrap()));
    let client = client(&basic("a", "b"));
    let (status, text) = send(&client, address, Request::get(format!("http://{address}/"))).await.unwrap();
    assert_eq!((status, text.as_str()), (200, "authorization=Basic YTpi proxy=- consumed=false"));
}

#[tokio::test]
async fn configured_headers_are_on_every_answer() {
    let files = Files::new();
    let headers = "headers: {X-Frame-Options: deny, X-XSS-Protection: ''}";
    files.write("web.yml", &format!("http_server_config: {{http2: true, {headers}}}\n"));
    let address = serve(gate(&files));
    let request = Request::get(format!("http://{address}//")).body(http_body_util::Full::default()).unwrap();
    let timeout = std::time::Duration::from_secs(9);
    let answer = client(&HttpClientConfig::default()).request(request, timeout).await.unwrap();
    assert_eq!(answer.headers()["x-frame-options"], "deny");
    assert!(!answer.headers().contains_key("x-xss-protection"), "a blank one is not set");
}

#[test]
fn b17_a_file_that_protects_less_than_it_seems_to_is_an_error() {
    let files = Files::new();
    let authority = Authority::new();
    files.write_pair(&authority.issue("localhost"));
    let check = |yaml: &str, want: &str| {
        let file = files.write("web.yml", yaml);
        let error = WebGate::open(Some(&file), Arc::default()).unwrap_err();
        let text = crate::net::chain(&error);
        assert!(text.contains(want), "{yaml}\n{text}");
    };
    check("basic_auth_user: {a: b}\n", "basic_auth_user");
    check("basic_auth_users: {a: secret-in-plain}\n", "bcrypt");
    check("basic_auth_users: {a: $2y$31$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}\n", "cost");
    check("tls_server_config: {client_auth_type: RequireAndVerifyClientCert}\n", "cert_file and key_file");
    let tls = "tls_server_config: {cert_file: cert.pem, key_file: key.pem";
    check(&format!("{tls}, client_auth_type: RequestClientCert}}\n"), "use VerifyClientCertIfGiven");
    check(&format!("{tls}, client_auth_type: RequireAnyClientCert}}\n"), "use RequireAndVerifyClientCert");
    let sans = "client_allowed_sans: [prometheus]";
    check(&format!("{tls}, {sans}}}\n"), "RequireAndVerifyClientCert");
    let given = "client_auth_type: VerifyClientCertIfGiven, client_ca_file: cert.pem";
    check(&format!("{tls}, {given}, {sans}}}\n"), "RequireAndVerifyClientCert");
    check(&format!("{tls}, min_version: TLS13, max_version: TLS12}}\n"), "max_version");
    let suite = "TLS_RSA_WITH_AES_128_CBC_SHA";
    check(&format!("{tls}, cipher_suites: [{suite}]}}\n"), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    check(&format!("{tls}, curve_preferences: [CurveP521]}}\n"), "X25519, CurveP256, CurveP384");
    check("rate_limit: {interval: 1s}\n", "burst");
    check(&format!("{tls}, client_auth_type: RequireAndVerifyClientCert}}\n"), "client_ca_file");
    check(&format!("{tls}, client_ca_file: cert.pem}}\n"), "client_ca_file");
    check(&format!("{tls}, min_version: TLS10}}\n"), "TLS10");
    check("tls_server_config: {cert_file: cert.pem}\n", "together");
    check("tls_server_config: {cert_file: key.pem, key_file: key.pem}\n", "holds no certificate");
    check("http_server_config: {headers: {Transfer-Encoding: chunked}}\n", "Transfer-Encoding");
}

#[test]
fn b19_no_hash_and_no_password_shows_in_debug_output() {
    let files = Files::new();
    users(&files, &[("prometheus", "canary")]);
    let gate = gate(&files);
    let file = WebConfigFile::read(&files.path("web.yml")).unwrap();
    let shown = format!("{gate:?} {file:?}");
    assert!(!shown.contains("$2b$") && !shown.contains("canary"), "{shown}");
    let error =
        WebGate::open(Some(&files.write("bad.yml", "basic_auth_users: {a: canary}\n")), Arc::default());
    assert!(!format!("{:?}", error.unwrap_err()).contains("canary"));
}
