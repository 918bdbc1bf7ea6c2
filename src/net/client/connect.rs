//! Makes connections: name look-up, TCP with timers against dead peers, TLS.

use std::io;
use std::net::SocketAddr;

use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Stream};
use super::pool::Key;
use super::tls::ClientTls;
use super::{ClientError, ClientLimits};
use crate::net::body::BoxError;

/// Makes the connections of one client.
#[derive(Debug)]
pub(super) struct Connector {
    limits: ClientLimits,
    tls: ClientTls,
}

impl Connector {
    pub(super) fn new(limits: ClientLimits, tls: ClientTls) -> Self {
        Self { limits, tls }
    }

    /// Connects within `connect_timeout`.
    pub(super) async fn connect(&self, key: &Key) -> Result<Box<Connection>, ClientError> {
        let timeout = self.limits.connect_timeout;
        match tokio::time::timeout(timeout, self.open(key)).await {
            Ok(opened) => opened,
            Err(_) => Err(unreachable(key, io::ErrorKind::TimedOut.into())),
        }
    }

    async fn open(&self, key: &Key) -> Result<Box<Connection>, ClientError> {
        let stream = self.dial(key).await.map_err(|error| unreachable(key, error))?;
        let stream = if key.tls { self.encrypt(stream, key).await? } else { Stream::Plain(stream) };
        let opened = Connection::open(stream).await;
        opened.map(Box::new).map_err(|error| super::cut(key, error.into()))
    }

    async fn encrypt(&self, stream: TcpStream, key: &Key) -> Result<Stream, ClientError> {
        let failed = |source: BoxError| ClientError::Tls { host: key.host().to_owned(), source };
        let config = self.tls.current().await.map_err(|error| failed(error.into()))?;
        let name = self.tls.server_name().unwrap_or_else(|| key.name()).to_owned();
        let name = ServerName::try_from(name).map_err(|error| failed(error.into()))?;
        let connected = TlsConnector::from(config).connect(name, stream).await;
        connected.map(|stream| Stream::Tls(Box::new(stream))).map_err(|error| failed(error.into()))
    }

    /// Tries the addresses of the host in the resolver's order.
    async fn dial(&self, key: &Key) -> io::Result<TcpStream> {
        if let Some(address) = key.address {
            return self.dial_address(address).await;
        }
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in tokio::net::lookup_host((key.name(), key.port())).await? {
            match self.dial_address(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn dial_address(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        // Without these a peer that fell silent is waited for about 15 minutes (safety B-10).
        let dead = self.limits.dead_peer_timeout;
        socket.set_tcp_user_timeout(Some(dead))?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(dead).with_interval(dead / 3))?;
        Ok(stream)
    }
}

fn unreachable(key: &Key, source: io::Error) -> ClientError {
    ClientError::Unreachable { host: key.host().to_owned(), source }
}
