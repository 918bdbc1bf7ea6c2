//! A TCP proxy that spoils what passes through it: the faults that a network has, without a network.

use bytes::BytesMut;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What happens to the bytes of one direction. Counts begin when the fault is set, on each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Every piece comes this much later.
    Delay(Duration),
    /// After so many bytes nothing more passes; both ends stay open.
    StallAfter(u64),
    /// After so many bytes both ends are closed in good manner.
    CutAfter(u64),
    /// After so many bytes both ends are reset.
    ResetAfter(u64),
    /// After so many bytes this direction ends, the other goes on.
    HalfCloseAfter(u64),
    /// So many bytes a second.
    Throttle(u32),
    /// Every byte has its lowest bit flipped.
    Garble,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the one who connected to the one behind the proxy.
    ToServer,
    /// Back.
    ToClient,
}

/// The proxy; dropped = its connections are closed.
#[derive(Debug)]
pub(crate) struct FaultProxy {
    pub(crate) address: SocketAddr,
    to_server: watch::Sender<Fault>,
    to_client: watch::Sender<Fault>,
    _accepting: AbortOnDropHandle<()>,
}

/// Why a connection ends before both directions do.
enum End {
    Cut,
    Reset,
}

// === impl FaultProxy ===

impl FaultProxy {
    /// Starts one before `server`, doing no harm yet.
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (to_server, up) = watch::channel(Fault::None);
        let (to_client, down) = watch::channel(Fault::None);
        let accepting = async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(serve(client, server, up.clone(), down.clone()));
            }
        };
        Self { address, to_server, to_client, _accepting: AbortOnDropHandle::new(tokio::spawn(accepting)) }
    }

    /// From now on, on connections old and new.
    pub(crate) fn set(&self, way: Way, fault: Fault) {
        let sender = match way {
            Way::ToServer => &self.to_server,
            Way::ToClient => &self.to_client,
        };
        sender.send_replace(fault);
    }
}

/// A server that is not there closes the client's connection, as a proxy would.
async fn serve(
    mut client: TcpStream,
    server: SocketAddr,
    up: watch::Receiver<Fault>,
    down: watch::Receiver<Fault>,
) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let end = {
        let (client_out, client_in) = client.split();
        let (server_out, server_in) = server.split();
        tokio::try_join!(pump(client_out, server_in, up), pump(server_out, client_in, down))
    };
    if let Err(End::Reset) = end {
        for stream in [&client, &server] {
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
}

/// Carries one direction to its end, spoiling it on the way.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut fault: watch::Receiver<Fault>,
) -> Result<(), End> {
    let mut passed = 0;
    let mut piece = BytesMut::new();
    loop {
        piece.clear();
        if from.read_buf(&mut piece).await.unwrap_or(0) == 0 {
            // The other end may be gone already.
            let _gone = to.shutdown().await;
            return Ok(());
        }
        if fault.has_changed().unwrap_or(false) {
            fault.mark_unchanged();
            passed = 0;
        }
        let now = *fault.borrow();
        let allowed = allowance(now, passed).min(piece.len() as u64) as usize;
        passed += allowed as u64;
        let cut_short = allowed < piece.len();
        write(&mut to, &piece[..allowed], now).await?;
        if cut_short {
            match now {
                Fault::CutAfter(_) => return Err(End::Cut),
                Fault::ResetAfter(_) => return Err(End::Reset),
                Fault::HalfCloseAfter(_) => {
                    let _gone = to.shutdown().await;
                    return Ok(());
                }
                _ => stall(&mut to, &piece[allowed..], &mut fault).await?,
            }
        }
    }
}

/// How many bytes more may pass.
fn allowance(fault: Fault, passed: u64) -> u64 {
    match fault {
        Fault::StallAfter(n) | Fault::CutAfter(n) | Fault::ResetAfter(n) | Fault::HalfCloseAfter(n) => {
            n.saturating_sub(passed)
        }
        _ => u64::MAX,
    }
}

async fn write(to: &mut WriteHalf<'_>, piece: &[u8], fault: Fault) -> Result<(), End> {
    match fault {
        Fault::Delay(time) => tokio::time::sleep(time).await,
        Fault::Throttle(rate) => return drip(to, piece, rate).await,
        Fault::Garble => {
            let spoiled: Vec<u8> = piece.iter().map(|b| b ^ 1).collect();
            return to.write_all(&spoiled).await.map_err(|_| End::Cut);
        }
        _ => {}
    }
    to.write_all(piece).await.map_err(|_| End::Cut)
}

async fn drip(to: &mut WriteHalf<'_>, piece: &[u8], rate: u32) -> Result<(), End> {
    for byte in piece {
        to.write_all(&[*byte]).await.map_err(|_| End::Cut)?;
        tokio::time::sleep(Duration::from_secs(1) / rate).await;
    }
    Ok(())
}

/// Holds the rest back until another fault is set.
async fn stall(to: &mut WriteHalf<'_>, rest: &[u8], fault: &mut watch::Receiver<Fault>) -> Result<(), End> {
    if fault.changed().await.is_err() {
        return Err(End::Cut);
    }
    to.write_all(rest).await.map_err(|_| End::Cut)
}
