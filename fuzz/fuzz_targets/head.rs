//! Any bytes on a connection to a listener: no panic, and no request gets to the door whose head says its length in two
//! ways or whose path can be read in two ways, however hyper repairs it.

#![no_main]

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use libfuzzer_sys::fuzz_target;
use sidelong::net::server::{Server, ServerConfig, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tower::service_fn;

/// The listener and the runtime that drives it while an input is served.
static LISTENER: LazyLock<(Runtime, SocketAddr)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let address = runtime.block_on(async {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = Server::new("fuzz", ServerConfig::default(), Arc::default());
        tokio::spawn(server.serve(listener, service_fn(door), CancellationToken::new()));
        address
    });
    (runtime, address)
});

/// The input, and how many of its requests have come to the door.
static INPUT: Mutex<(Vec<u8>, usize)> = Mutex::new((Vec::new(), 0));

async fn door(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (input, number) = {
        let mut input = INPUT.lock().expect("a panic ends the process");
        input.1 += 1;
        (input.0.clone(), input.1)
    };
    // Where a further request begins is not known without a parser.
    if number == 1 {
        assert!(
            lengths(&input) <= 1,
            "{:?} passed with {:?}",
            request.headers(),
            String::from_utf8_lossy(&input)
        );
    }
    let uri = request.uri();
    let path = uri.path().to_ascii_lowercase().replace("%2e", ".");
    if uri.authority().is_none() {
        assert!(
            ["//", "/./", "/../", "%2f", "%5c", "%00"].iter().all(|twofold| !path.contains(twofold)),
            "{path}"
        );
        assert!(!["/.", "/.."].iter().any(|end| path.ends_with(end)), "{path}");
    }
    // A body may break off: that is the client's business.
    drop(request.into_body().collect().await);
    Ok(Response::new(Empty::new()))
}

/// How often the first head says how long its body is.
fn lengths(input: &[u8]) -> usize {
    let lines = input.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let head = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    head.filter(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default().to_ascii_lowercase();
        name == b"content-length" || name == b"transfer-encoding"
    })
    .count()
}

fuzz_target!(|bytes: &[u8]| {
    *INPUT.lock().expect("a panic ends the process") = (bytes.to_vec(), 0);
    let (runtime, address) = &*LISTENER;
    runtime.block_on(async {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        // The listener may have closed before all was written.
        drop(stream.write_all(bytes).await);
        drop(stream.shutdown().await);
        drop(stream.read_to_end(&mut Vec::new()).await);
    });
});
