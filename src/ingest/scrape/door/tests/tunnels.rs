//! Tunnels.

use super::*;

#[tokio::test]
async fn h3_a_tunnel_opens_only_where_a_rule_allows_it() {
    let echo = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let end = echo.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = echo.accept().await.expect("a connection");
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await.expect("four bytes");
        stream.write_all(&bytes).await.expect("written");
    });
    let house = House::open("targets: []").await;
    let own = house.address;
    let ports = format!("[{}, {}]", end.port(), own.port());
    let house = House::open(&format!("allow_connect: [{{networks: [127.0.0.1], ports: {ports}}}]")).await;
    let mut stream = TcpStream::connect(house.address).await.expect("the door is open");
    let request = format!("CONNECT {end} HTTP/1.1\r\nHost: {end}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    assert!(head.starts_with(b"HTTP/1.1 200"));
    stream.write_all(b"ping").await.expect("written");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an end");
    assert_eq!(bytes, b"ping");

    for refused in ["127.0.0.1:1", "10.0.0.1:443", "169.254.169.254:443", "127.1:443"] {
        let reply =
            house.send(&format!("CONNECT {refused} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(reply.status, 403, "{refused}");
    }
}

#[tokio::test]
async fn h3_no_tunnel_leads_to_ourselves() {
    let house = House::open("targets: []").await;
    let own = house.address;
    let config = format!("allow_connect: [{{networks: [127.0.0.1], ports: [{}]}}]", own.port());
    let door = house.door.reconfigured(&serde_saphyr::from_str(&config).expect("valid")).expect("a door");
    let request = Request::builder().method("CONNECT").uri(own.to_string()).body(()).expect("a request");
    assert_eq!(door.handle(request).await.status(), StatusCode::FORBIDDEN);
}
