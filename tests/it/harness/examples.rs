//! The files of `examples/`, with every address replaced by that of the server that this test runs.

use std::path::Path;

/// Addresses as the examples write them, each with the one that stands for it here.
pub(crate) type Addresses<'a> = &'a [(&'a str, &'a str)];

/// Where Sidelong is in every example.
pub(crate) const SIDELONG: &str = "127.0.0.1:10990";

/// Where node_exporter is.
pub(crate) const NODE: &str = "127.0.0.1:9100";

/// Where the gateway's downstream is.
pub(crate) const DOWNSTREAM: &str = "127.0.0.1:9091";

/// An example with its addresses replaced; panics when it names one that `addresses` does not.
pub(crate) fn load(name: &str, addresses: Addresses<'_>) -> String {
    let text = std::fs::read_to_string(Path::new("examples").join(name)).unwrap();
    rewrite(&text, addresses).unwrap_or_else(|unknown| panic!("{name}: nothing stands for {unknown}"))
}

/// Gives the first address it cannot replace as the error.
fn rewrite(text: &str, addresses: Addresses<'_>) -> Result<String, String> {
    const HOST: &str = "127.0.0.1:";
    let mut pieces = text.split(HOST);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        let (port, rest) = piece.split_at(end);
        let written = format!("{HOST}{port}");
        let (_, here) = addresses.iter().find(|(from, _)| *from == written).ok_or(written)?;
        out += here;
        out += rest;
    }
    // An allow-list names ports apart from hosts.
    let port = |address: &str| address.strip_prefix(HOST).unwrap_or_default().to_owned();
    Ok(addresses.iter().fold(out, |text, (from, to)| {
        text.replace(&format!("ports: [{}]", port(from)), &format!("ports: [{}]", port(to)))
    }))
}

#[test]
fn an_example_names_no_server_that_does_not_run() {
    let addresses: Addresses<'_> = &[(NODE, "127.0.0.1:1"), (SIDELONG, "127.0.0.1:2")];
    let text = format!("a: [{NODE}]\nb: http://{SIDELONG}/x\n");
    assert_eq!(rewrite(&text, addresses).unwrap(), "a: [127.0.0.1:1]\nb: http://127.0.0.1:2/x\n");
    assert_eq!(rewrite("ports: [9100]", addresses).unwrap(), "ports: [1]");
    assert_eq!(rewrite("c: 127.0.0.1:91000", addresses).unwrap_err(), "127.0.0.1:91000");
}
