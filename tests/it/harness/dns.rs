//! A name server that answers every question for an address with one of its own choice, good for no time at all.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

/// The server; dropped = gone.
#[derive(Debug)]
pub(crate) struct Dns {
    answer: Arc<Mutex<Ipv4Addr>>,
    _serving: AbortOnDropHandle<()>,
}

// === impl Dns ===

impl Dns {
    /// Listens on port 53 of `address`, which takes root.
    pub(crate) async fn start(address: IpAddr, answer: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((address, 53)).await.unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let _serving = AbortOnDropHandle::new(tokio::spawn(serve(socket, Arc::clone(&answer))));
        Self { answer, _serving }
    }

    /// From the next question on.
    pub(crate) fn set(&self, answer: Ipv4Addr) {
        *self.answer.lock().unwrap() = answer;
    }
}

async fn serve(socket: UdpSocket, answer: Arc<Mutex<Ipv4Addr>>) {
    let mut packet = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut packet).await.unwrap();
        let reply = reply(&packet[..length], *answer.lock().unwrap());
        // Whoever asked may have gone.
        let _gone = socket.send_to(&reply, from).await;
    }
}

/// The question with its answer behind it; a question for anything but an IPv4 address has none (RFC 1035).
fn reply(question: &[u8], answer: Ipv4Addr) -> Vec<u8> {
    const HEADER: usize = 12;
    let name = question[HEADER..].iter().position(|b| *b == 0).expect("a name ends");
    let end = HEADER + name + 5;
    let is_a = question[end - 4..end - 2] == [0, 1];
    let mut reply = question[..end].to_vec();
    // A response, recursion desired and available; one question, one answer or none, nothing else.
    reply[2..4].copy_from_slice(&[0x81, 0x80]);
    reply[4..HEADER].copy_from_slice(&[0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    if is_a {
        // The name of the question, type A, class IN, no time to live, four bytes.
        reply.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        reply.extend(answer.octets());
    }
    reply
}
