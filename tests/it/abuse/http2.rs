//! HTTP/2 with prior knowledge over real sockets: many streams, too many streams, oversized headers and
//! bodies, and rapid resets (CVE-2023-44487).

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::{self, SendRequest};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

use super::{Server, listening, shipped};

/// The number of concurrent streams of one connection.
const STREAMS: usize = 64;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM_AND_HEADERS: u8 = 0x5;

async fn connect(address: std::net::SocketAddr) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn graphql_request(body: &Value) -> (Request<()>, Bytes) {
    let request = Request::post("http://localhost/graphql").header("content-type", "application/json");
    (request.body(()).unwrap(), body.to_string().into())
}

/// The status and body of a stream's response.
async fn read_response(response: client::ResponseFuture) -> (StatusCode, String) {
    let (head, mut body) = response.await.unwrap().into_parts();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        text.extend_from_slice(&data);
    }
    (head.status, String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn concurrent_streams_get_their_own_responses() {
    let server = Server::start().await;
    let sender = connect(server.address).await;
    let ask = |number: usize| {
        let sender = sender.clone();
        async move {
            // Waits for a free stream.
            let mut sender = sender.ready().await.unwrap();
            let query = format!("{{ n{number}: connectedAccounts(first: 3) {{ nodes {{ id }} }} }}");
            let (request, body) = graphql_request(&json!({ "query": query }));
            let (response, mut stream) = sender.send_request(request, false).unwrap();
            stream.send_data(body, true).unwrap();
            (number, read_response(response).await)
        }
    };
    // The server announced its stream limit before its first response.
    let first = ask(0).await;
    let others = join_all((1..200).map(ask)).await;
    for (number, (status, text)) in others.into_iter().chain([first]) {
        assert_eq!(status, StatusCode::OK, "{text}");
        assert!(text.starts_with(&format!("{{\"data\":{{\"n{number}\":{{\"nodes\":[{{\"id\":")), "{text}");
    }
}

#[tokio::test]
async fn a_long_url_is_refused_as_such_on_its_stream() {
    let server = Server::start().await;
    let sender = connect(server.address).await;
    for (bytes, expected) in
        [(100, StatusCode::OK), (50_000, StatusCode::OK), (62_000, StatusCode::URI_TOO_LONG)]
    {
        for _ in 0..2 {
            let url = format!("http://localhost/graphql?query=%7B__typename%7D&x={}", "x".repeat(bytes));
            let mut sender = sender.clone().ready().await.unwrap();
            let (response, _) = sender.send_request(Request::get(url).body(()).unwrap(), true).unwrap();
            let (status, text) = read_response(response).await;
            assert_eq!(status, expected, "{bytes}: {text}");
            assert_eq!(text.contains("URL_SIZE"), expected == StatusCode::URI_TOO_LONG, "{text}");
        }
    }
}

#[tokio::test]
async fn oversized_headers_and_bodies_are_refused_on_their_stream() {
    let server = Server::start().await;
    let sender = connect(server.address).await;

    let mut sender = sender.ready().await.unwrap();
    let mut request = Request::get("http://localhost/graphql?query=%7B__typename%7D");
    for number in 0..100 {
        request = request.header(format!("x-{number}"), "a".repeat(1_000));
    }
    let (response, _) = sender.send_request(request.body(()).unwrap(), true).unwrap();
    assert_eq!(read_response(response).await.0, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);

    let mut sender = sender.ready().await.unwrap();
    let (request, _) = graphql_request(&Value::Null);
    let (response, mut stream) = sender.send_request(request, false).unwrap();
    let flood = async {
        let mut sent = 0_usize;
        loop {
            stream.reserve_capacity(1 << 16);
            match std::future::poll_fn(|context| stream.poll_capacity(context)).await {
                Some(Ok(room)) if stream.send_data(vec![b' '; room].into(), false).is_ok() => sent += room,
                // The server has ended the stream.
                _ => return sent,
            }
        }
    };
    let (sent, (status, text)) = tokio::join!(flood, read_response(response));
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text.contains("BODY_SIZE"), "{text}");
    assert!(sent < 2 << 20, "{sent} bytes were taken of a body that may have 1 MiB");

    let mut sender = sender.ready().await.unwrap();
    let (request, body) = graphql_request(&json!({ "query": "{ providers { totalCount } }" }));
    let (response, mut stream) = sender.send_request(request, false).unwrap();
    stream.send_data(body, true).unwrap();
    assert_eq!(
        read_response(response).await,
        (StatusCode::OK, "{\"data\":{\"providers\":{\"totalCount\":25}}}".to_owned())
    );
    assert_eq!(server.world.calls().len(), 1, "refused requests made no call");
}

/// Counts running handlers.
struct RunningHandler(watch::Sender<usize>);

impl RunningHandler {
    fn of(inside: &watch::Sender<usize>) -> Self {
        inside.send_modify(|number| *number += 1);
        Self(inside.clone())
    }
}

impl Drop for RunningHandler {
    fn drop(&mut self) {
        self.0.send_modify(|number| *number -= 1);
    }
}

/// `GET /` of `localhost`: three fields of the static table, and a literal one (RFC 7541).
fn get_root(stream: u32) -> Vec<u8> {
    let fields = [&[0x82, 0x86, 0x84, 0x41, 9][..], b"localhost"].concat();
    frame(HEADERS, END_STREAM_AND_HEADERS, stream, &fields)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The next frame: type, stream and payload.
async fn next_frame(socket: &mut TcpStream) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    socket.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
    socket.read_exact(&mut payload).await.ok()?;
    Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

/// A handler that blocks until released, and the number of its running calls.
fn blocked_handler() -> (Router, watch::Receiver<usize>, Arc<Semaphore>) {
    let ((inside, watched), go) = (watch::channel(0), Arc::new(Semaphore::new(0)));
    let held = Arc::clone(&go);
    let handler = move || {
        let (inside, held) = (RunningHandler::of(&inside), Arc::clone(&held));
        async move {
            let _inside = inside;
            drop(held.acquire().await);
            "hello"
        }
    };
    (Router::new().route("/", get(handler)), watched, go)
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    let (router, mut inside, go) = blocked_handler();
    let (address, _stop, _serving) = listening(router, shipped().server).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    socket.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    // The limit applies only after the client has acknowledged it.
    while next_frame(&mut socket).await.unwrap().0 != SETTINGS {}
    socket.write_all(&frame(SETTINGS, 1, 0, &[])).await.unwrap();
    for number in 0..STREAMS as u32 + 10 {
        socket.write_all(&get_root(number * 2 + 1)).await.unwrap();
    }
    let mut refused = 0;
    while refused < 10 {
        let (kind, _, payload) = next_frame(&mut socket).await.unwrap();
        if kind == RST_STREAM {
            assert_eq!(payload, [0, 0, 0, 7], "REFUSED_STREAM");
            refused += 1;
        }
    }
    inside.wait_for(|inside| *inside == STREAMS).await.unwrap();
    go.add_permits(STREAMS);
    inside.wait_for(|inside| *inside == 0).await.unwrap();
}

#[tokio::test]
async fn rapid_resets_free_their_streams_and_end_the_connection() {
    let (router, mut inside, _go) = blocked_handler();
    let (address, _stop, _serving) = listening(router, shipped().server).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    socket.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let mut most = 0;
    for number in 0..20_000_u32 {
        let stream = number * 2 + 1;
        let opened_and_reset = [get_root(stream), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat();
        if socket.write_all(&opened_and_reset).await.is_err() {
            break;
        }
        most = most.max(*inside.borrow());
    }
    // The server sends ENHANCE_YOUR_CALM and disconnects. The frame may be lost before the reset of the
    // socket.
    while let Some((kind, _, payload)) = next_frame(&mut socket).await {
        if kind == GOAWAY {
            assert_eq!(payload[4..8], [0, 0, 0, 11], "ENHANCE_YOUR_CALM");
        }
    }
    assert!(most <= STREAMS, "{most} at once");
    inside.wait_for(|inside| *inside == 0).await.unwrap();
    assert!(TcpStream::connect(address).await.is_ok());
}
