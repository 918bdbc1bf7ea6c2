//! An HTTP/1.1 server that records what it is sent and answers by script, well or badly: a downstream, or a target.
//!
//! It speaks TCP itself, since no good library would answer as it must: cut, reset, without end, two bytes a second.

use super::eventually;
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    /// As on the request line: absolute when a proxy is addressed.
    pub(crate) target: String,
    /// In the order and spelling of the wire.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// Which connection it came on, from 0.
    pub(crate) connection: usize,
    pub(crate) at: Instant,
}

/// What the script says to one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Answer(Answer),
    /// The request is read, then the connection is closed without a byte.
    Cut,
    /// The request is read, then the connection is reset.
    Reset,
    /// The request is read; nothing ever comes.
    Silence,
}

/// An answer, good or bad.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
    gate: Option<Gate>,
}

/// Holds answers back until it is opened.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

#[derive(Clone, Debug)]
enum Body {
    Whole(Bytes),
    /// Chunks of this for ever.
    Endless(Bytes),
    /// A byte at a time.
    Drip(Bytes, Duration),
    /// A length is declared, half of it is sent.
    Short(Bytes),
}

type Script = Arc<dyn Fn(&Recorded) -> Reply + Send + Sync>;

struct State {
    script: Mutex<Script>,
    requests: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
}

/// The server; dropped = its connections are closed.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _accepting: AbortOnDropHandle<()>,
}

// === impl Scripted ===

impl Scripted {
    /// Starts one on a port of the kernel's choice.
    pub(crate) async fn start(script: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), script).await
    }

    /// The same on another address of this machine.
    pub(crate) async fn start_on(
        address: IpAddr,
        script: impl Fn(&Recorded) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Mutex::new(Arc::new(script)),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let _accepting = AbortOnDropHandle::new(tokio::spawn(accept(listener, Arc::clone(&state))));
        Self { address, state, _accepting }
    }

    /// A downstream that takes everything.
    pub(crate) async fn downstream() -> Self {
        Self::start(|_| Reply::status(204)).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Another script from the next request on.
    pub(crate) fn set(&self, script: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Arc::new(script);
    }

    /// All requests so far, in the order in which they were read.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget(&self) {
        self.state.requests.lock().unwrap().clear();
    }

    /// Waits until there are `count` requests for which `wanted` holds, and gives those.
    pub(crate) async fn received(
        &self,
        count: usize,
        what: &str,
        wanted: impl Fn(&Recorded) -> bool,
    ) -> Vec<Recorded> {
        eventually(&format!("{count} requests: {what}"), async || {
            let found: Vec<_> = self.requests().into_iter().filter(|r| wanted(r)).collect();
            (found.len() >= count).then_some(found)
        })
        .await
    }
}

// === impl Recorded ===

impl Recorded {
    /// The value of a header, or "" without it.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, v)| v)
    }

    /// The samples of a remote-write request.
    pub(crate) fn points(&self) -> Vec<super::remote_write::Point> {
        super::remote_write::decode(self.header("content-type"), &self.body)
    }
}

// === impl Reply ===

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer(Answer::new(status, Body::Whole(Bytes::new())))
    }

    /// 200 with a body and its content type: a page for a scraper.
    pub(crate) fn page(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::Answer(Answer::new(200, Body::Whole(body.into()))).with("content-type", content_type)
    }

    pub(crate) fn endless(status: u16) -> Self {
        Self::Answer(Answer::new(status, Body::Endless(Bytes::from(vec![b'x'; 16 << 10]))))
    }

    pub(crate) fn drip(status: u16, body: impl Into<Bytes>, every: Duration) -> Self {
        Self::Answer(Answer::new(status, Body::Drip(body.into(), every)))
    }

    pub(crate) fn short(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::Answer(Answer::new(200, Body::Short(body.into()))).with("content-type", content_type)
    }

    /// With one header more.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer(answer) = &mut self {
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// With another status.
    pub(crate) fn coded(mut self, status: u16) -> Self {
        if let Self::Answer(answer) = &mut self {
            answer.status = status;
        }
        self
    }

    /// Not before the gate is open.
    pub(crate) fn behind(mut self, gate: &Gate) -> Self {
        if let Self::Answer(answer) = &mut self {
            answer.gate = Some(gate.clone());
        }
        self
    }
}

// === impl Gate ===

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets every answer through, those that wait and those to come.
    pub(crate) fn open(&self) {
        self.0.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    async fn pass(&self) {
        // Never closed, so it always passes in the end; the permit goes back at once.
        drop(self.0.acquire().await.unwrap());
    }
}

// === impl Answer ===

impl Answer {
    fn new(status: u16, body: Body) -> Self {
        Self { status, headers: Vec::new(), body, gate: None }
    }

    async fn write(&self, stream: &mut BufStream<TcpStream>) -> std::io::Result<()> {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        stream.write_all(self.head().as_bytes()).await?;
        match &self.body {
            Body::Whole(body) => stream.write_all(body).await?,
            Body::Short(body) => {
                stream.write_all(&body[..body.len() / 2]).await?;
                stream.flush().await?;
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            Body::Endless(chunk) => loop {
                stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
                stream.write_all(chunk).await?;
                stream.write_all(b"\r\n").await?;
            },
            Body::Drip(body, every) => {
                for byte in body {
                    stream.write_all(&[*byte]).await?;
                    stream.flush().await?;
                    tokio::time::sleep(*every).await;
                }
            }
        }
        stream.flush().await
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        match &self.body {
            _ if self.status == 204 || self.status == 304 => {}
            Body::Endless(_) => head += "transfer-encoding: chunked\r\n",
            Body::Whole(b) | Body::Short(b) | Body::Drip(b, _) => {
                head += &format!("content-length: {}\r\n", b.len());
            }
        }
        head + "\r\n"
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let number = state.connections.fetch_add(1, Ordering::Relaxed);
        connections.spawn(serve(stream, number, Arc::clone(&state)));
    }
}

/// One connection, to its end: which a client or the script brings about, so that no error matters here.
async fn serve(stream: TcpStream, connection: usize, state: Arc<State>) {
    let mut stream = BufStream::new(stream);
    while let Some(request) = read(&mut stream, connection).await {
        let script = Arc::clone(&state.script.lock().unwrap());
        let reply = script(&request);
        state.requests.lock().unwrap().push(request);
        let kept = match reply {
            Reply::Answer(answer) => answer.write(&mut stream).await.is_ok(),
            Reply::Cut => false,
            Reply::Reset => {
                socket2::SockRef::from(stream.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
                false
            }
            Reply::Silence => std::future::pending().await,
        };
        if !kept {
            return;
        }
    }
}

/// The next request, or nothing when the client has gone.
async fn read(stream: &mut BufStream<TcpStream>, connection: usize) -> Option<Recorded> {
    let first = line(stream).await.filter(|l| !l.is_empty())?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    while let Some(header) = line(stream).await.filter(|l| !l.is_empty()) {
        let (name, value) = header.split_once(':').expect("a header has a colon");
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request =
        Recorded { method, target, headers, body: Bytes::new(), connection, at: Instant::now() };
    if request.header("expect") == "100-continue" {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
        stream.flush().await.ok()?;
    }
    request.body = body(stream, &request).await?;
    Some(request)
}

async fn body(stream: &mut BufStream<TcpStream>, request: &Recorded) -> Option<Bytes> {
    if request.header("transfer-encoding") != "chunked" {
        let length = request.header("content-length").parse().unwrap_or(0);
        return exactly(stream, length).await.map(Bytes::from);
    }
    let mut body = Vec::new();
    loop {
        let length = usize::from_str_radix(&line(stream).await?, 16).ok()?;
        let chunk = exactly(stream, length).await?;
        line(stream).await?;
        if chunk.is_empty() {
            return Some(body.into());
        }
        body.extend(chunk);
    }
}

async fn exactly(stream: &mut BufStream<TcpStream>, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

async fn line(stream: &mut BufStream<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}
