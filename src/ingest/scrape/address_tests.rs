use std::collections::HashMap;

use super::*;

/// Names and what they resolve to.
struct Table(HashMap<&'static str, Vec<IpAddr>>);

impl Resolver for Table {
    fn resolve<'a>(&'a self, name: &'a str) -> ResolveFuture<'a> {
        let found = self.0.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into());
        Box::pin(async move { found })
    }
}

fn table(names: &[(&'static str, &str)]) -> Table {
    let ips = |text: &str| text.split(' ').map(|ip| ip.parse().expect("an address")).collect();
    Table(names.iter().map(|&(name, text)| (name, ips(text))).collect())
}

fn rule(hosts: &[&str], ports: &[u16]) -> AllowRule {
    let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
    AllowRule::new(&hosts, ports, &[Scheme::Http, Scheme::Https]).expect("a rule")
}

async fn verdict(url: &str, rules: &[AllowRule], names: &Table) -> String {
    let Ok(uri) = url.parse::<Uri>() else { return "spelling".to_owned() };
    let endpoint = match Endpoint::of_url(&uri) {
        Ok(endpoint) => endpoint,
        Err(refusal) => return kind(&refusal).to_owned(),
    };
    match endpoint.allowed_addresses(rules, names).await {
        Ok((addresses, _)) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        Err(refusal) => kind(&refusal).to_owned(),
    }
}

fn kind(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Spelling => "spelling",
        Refusal::NotAllowed => "not allowed",
        Refusal::Reserved(_) => "reserved",
        Refusal::Metadata => "metadata",
        Refusal::Unresolved(_) => "unresolved",
    }
}

#[test]
fn the_ranges_are_ranges() {
    assert_eq!((METADATA_NETS.len(), RESERVED_NETS.len()), (7, 27));
}

#[tokio::test]
async fn b14_no_spelling_of_a_forbidden_address_is_fetched() {
    let names = table(&[
        ("rebound.example", "127.0.0.1"),
        ("rebound6.example", "::1"),
        ("mapped.example", "::ffff:127.0.0.1"),
        ("imds.example", "169.254.169.254"),
        ("mixed.example", "10.0.0.1 169.254.169.254"),
        ("carrier.example", "100.64.0.1"),
        ("localhost", "127.0.0.1"),
    ]);
    // As wide as a careless operator makes it: everything, and every name.
    let rules = [rule(&["0.0.0.0/0", "::/0", "*.example", "metadata.google.internal"], &[80, 443])];
    let cases = [
        ("reserved", "127.0.0.1 127.0.0.53 127.255.255.254 0.0.0.0 0.1.2.3 169.254.1.1 169.254.20.10"),
        ("reserved", "100.64.0.1 100.127.255.254 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.9"),
        ("reserved", "224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 127.0.0.1:80 127.0.0.1:443"),
        (
            "reserved",
            "[::] [::1] [0:0:0:0:0:0:0:1] [::127.0.0.1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::FFFF:10.0.0.1]",
        ),
        (
            "reserved",
            "[64:ff9b::7f00:1] [64:ff9b:1::1] [2002:7f00:1::] [2001:0:1::] [fe80::1] [febf::1] [fec0::1]",
        ),
        ("reserved", "[fc00::1] [fdff::1] [ff02::1] [2001:db8::1] [100::1] [::ffff:0:127.0.0.1]"),
        (
            "reserved",
            "rebound.example REBOUND.Example rebound.example. rebound6.example mapped.example carrier.example",
        ),
        (
            "metadata",
            "169.254.169.254 169.254.169.253 169.254.170.2 169.254.170.23 168.63.129.16 100.100.100.200",
        ),
        ("metadata", "192.0.0.192 [fd00:ec2::254] [fd00:ec2::23] [fd20:ce::254] [::ffff:169.254.169.254]"),
        (
            "metadata",
            "[::ffff:a9fe:a9fe] [64:ff9b::a9fe:a9fe] [2002:a9fe:a9fe::] [::a9fe:a9fe] [2001:0:1::5601:5601]",
        ),
        ("metadata", "metadata.google.internal METADATA.google.INTERNAL. imds.example mixed.example"),
        (
            "spelling",
            "2130706433 0x7f000001 0X7F000001 017700000001 0177.0.0.1 0x7f.0.0.1 127.1 127.0.1 0x7f.1 0",
        ),
        (
            "spelling",
            "127.0.0.01 127.0.0.1. 1.2.3.4.5 256.0.0.1 10.0.0.256 2852039166 0xa9fea9fe 0251.0376.0251.0376",
        ),
        (
            "spelling",
            "user@10.0.0.1 127.0.0.1@10.0.0.1 a..example .example -.0x7 %31%32%37.0.0.1 127。0。0。1",
        ),
        ("spelling", "[fe80::1%25eth0] [::1 10.0.0.1:0 10.0.0.1:99999 10.0.0.1: 10.0.0.1:080 [::1]x"),
        ("not allowed", "localhost 10.0.0.1:81 other.test metadata"),
    ];
    let mut checked = 0;
    for (want, hosts) in cases {
        for host in hosts.split(' ') {
            let want = if host == "metadata" { "metadata" } else { want };
            let got = verdict(&format!("http://{host}/metrics"), &rules, &names).await;
            let unresolved = got == "unresolved" && matches!(host, "localhost" | "other.test");
            assert!(
                got == want || unresolved || (host == "localhost" && got == "reserved"),
                "{host}: {got}, not {want}"
            );
            checked += 1;
        }
    }
    assert!(checked >= 60, "{checked}");
}

#[tokio::test]
async fn b14_the_allow_list_opens_what_it_names_and_no_more() {
    let names = table(&[
        ("localhost", "::1 127.0.0.1"),
        ("app.example", "10.0.0.7"),
        ("deep.app.example", "10.0.0.8 127.0.0.1"),
        ("example", "10.0.0.9"),
        ("host.test", "10.1.0.1 192.168.0.1"),
    ]);
    let check = async |url: &str, rules: &[AllowRule], want: &str| {
        assert_eq!(verdict(url, rules, &names).await, want, "{url}");
    };
    let named = [rule(&["localhost", "*.example"], &[9100])];
    check("http://localhost:9100/", &named, "[::1]:9100 127.0.0.1:9100").await;
    check("https://LOCALHOST.:9100/x", &named, "[::1]:9100 127.0.0.1:9100").await;
    check("http://localhost/", &named, "not allowed").await;
    check("http://app.example:9100/", &named, "10.0.0.7:9100").await;
    check("http://deep.app.example:9100/", &named, "10.0.0.8:9100").await;
    check("http://example:9100/", &named, "not allowed").await;
    check("http://10.0.0.7:9100/", &named, "not allowed").await;
    check("ftp://app.example:9100/", &named, "spelling").await;
    check("http://gone.example:9100/", &named, "unresolved").await;
    let ranges = [rule(&["127.0.0.0/8", "10.1.0.0/16", "[::1]"], &[80])];
    check("http://127.0.0.1/", &ranges, "127.0.0.1:80").await;
    check("http://[::1]/", &ranges, "[::1]:80").await;
    check("http://[::ffff:127.0.0.1]/", &ranges, "reserved").await;
    check("http://host.test/", &ranges, "10.1.0.1:80").await;
    check("http://10.2.0.1/", &ranges, "not allowed").await;
    check("http://169.254.169.254/", &[rule(&["169.254.169.254"], &[80])], "metadata").await;
    let https_only = AllowRule::new(&["10.0.0.1".to_owned()], &[80], &[Scheme::Https]).expect("a rule");
    check("http://10.0.0.1/", &[https_only], "not allowed").await;
    check("http://10.0.0.1/", &[], "not allowed").await;
}

#[tokio::test]
async fn b14_a_configured_target_allows_its_own_address_but_no_metadata_service() {
    let names = table(&[("localhost", "127.0.0.1"), ("imds.test", "169.254.169.254")]);
    let check = async |url: &str, want: &str| {
        let endpoint = Endpoint::of_url(&url.parse().expect("a URI")).expect("an endpoint");
        let got = match endpoint.own_addresses(&names).await {
            Ok(addresses) => addresses[0].to_string(),
            Err(refusal) => kind(&refusal).to_owned(),
        };
        assert_eq!(got, want, "{url}");
    };
    check("http://localhost:8080/", "127.0.0.1:8080").await;
    check("https://[fd00::1]/", "[fd00::1]:443").await;
    check("http://imds.test/", "metadata").await;
    check("http://169.254.170.2/", "metadata").await;
}

#[test]
fn a_rule_takes_names_and_ranges_only() {
    for wrong in ["", "*", "*.10.0.0.1", "http://a", "a/b", "a b", "10.0.0.0/33", "127.1", "*.*.a"] {
        assert_eq!(AllowRule::new(&[wrong.to_owned()], &[80], &[]), Err(wrong.to_owned()));
    }
}

#[test]
fn h3_a_tunnel_names_its_port() {
    let of =
        |text: &str| Endpoint::of_tunnel(&text.parse().expect("a URI")).map(|endpoint| endpoint.port).ok();
    assert_eq!(of("host.example:8443"), Some(8443));
    assert_eq!(of("host.example"), None);
    assert_eq!(of("127.1:443"), None);
}
