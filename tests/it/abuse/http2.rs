//! HTTP/2 by prior knowledge over real sockets: many streams, more than there may be, heads and bodies over their limits, and
//! streams that are reset as soon as they are opened (CVE-2023-44487).

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

/// How many streams of one connection are answered at once.
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

fn asking(body: &Value) -> (Request<()>, Bytes) {
    let request = Request::post("http://localhost/graphql").header("content-type", "application/json");
    (request.body(()).unwrap(), body.to_string().into())
}

/// The status and the body of the answer to one stream.
async fn answered(response: client::ResponseFuture) -> (StatusCode, String) {
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
async fn many_streams_of_one_connection_are_answered_each_with_its_own() {
    let server = Server::start().await;
    let sender = connect(server.address).await;
    let ask = |number: usize| {
        let sender = sender.clone();
        async move {
            // Waits for a place among the streams that the server takes.
            let mut sender = sender.ready().await.unwrap();
            let query = format!("{{ n{number}: connectedAccounts(first: 3) {{ nodes {{ id }} }} }}");
            let (request, body) = asking(&json!({ "query": query }));
            let (response, mut stream) = sender.send_request(request, false).unwrap();
            stream.send_data(body, true).unwrap();
            (number, answered(response).await)
        }
    };
    // How many it takes, it has told by the time that it answers one.
    let first = ask(0).await;
    let others = join_all((1..200).map(ask)).await;
    for (number, (status, text)) in others.into_iter().chain([first]) {
        assert_eq!(status, StatusCode::OK, "{text}");
        assert!(text.starts_with(&format!("{{\"data\":{{\"n{number}\":{{\"nodes\":[{{\"id\":")), "{text}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_and_a_body_that_is_too_long_are_refused_on_their_stream_alone() {
    let server = Server::start().await;
    let sender = connect(server.address).await;

    let mut sender = sender.ready().await.unwrap();
    let mut request = Request::get("http://localhost/graphql?query=%7B__typename%7D");
    for number in 0..100 {
        request = request.header(format!("x-{number}"), "a".repeat(1_000));
    }
    let (response, _) = sender.send_request(request.body(()).unwrap(), true).unwrap();
    assert_eq!(answered(response).await.0, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);

    let mut sender = sender.ready().await.unwrap();
    let (request, _) = asking(&Value::Null);
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
    let (sent, (status, text)) = tokio::join!(flood, answered(response));
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text.contains("BODY_SIZE"), "{text}");
    assert!(sent < 2 << 20, "{sent} bytes were taken of a body that may have 1 MiB");

    let mut sender = sender.ready().await.unwrap();
    let (request, body) = asking(&json!({ "query": "{ providers { totalCount } }" }));
    let (response, mut stream) = sender.send_request(request, false).unwrap();
    stream.send_data(body, true).unwrap();
    assert_eq!(
        answered(response).await,
        (StatusCode::OK, "{\"data\":{\"providers\":{\"totalCount\":25}}}".to_owned())
    );
    assert_eq!(server.world.calls().len(), 1, "what was refused asked for nothing");
}

/// Counts those who are inside.
struct Inside(watch::Sender<usize>);

impl Inside {
    fn of(inside: &watch::Sender<usize>) -> Self {
        inside.send_modify(|number| *number += 1);
        Self(inside.clone())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.send_modify(|number| *number -= 1);
    }
}

/// `GET /` of `localhost`: three fields of the static table, and one that is spelt out (RFC 7541).
fn get_root(stream: u32) -> Vec<u8> {
    let fields = [&[0x82, 0x86, 0x84, 0x41, 9][..], b"localhost"].concat();
    frame(HEADERS, END_STREAM_AND_HEADERS, stream, &fields)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The next frame: its kind, its stream, and what is in it.
async fn next_frame(socket: &mut TcpStream) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    socket.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
    socket.read_exact(&mut payload).await.ok()?;
    Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

/// A handler that answers once it may, and how many of it there are.
fn waiting() -> (Router, watch::Receiver<usize>, Arc<Semaphore>) {
    let ((inside, watched), go) = (watch::channel(0), Arc::new(Semaphore::new(0)));
    let held = Arc::clone(&go);
    let handler = move || {
        let (inside, held) = (Inside::of(&inside), Arc::clone(&held));
        async move {
            let _inside = inside;
            drop(held.acquire().await);
            "hello"
        }
    };
    (Router::new().route("/", get(handler)), watched, go)
}

#[tokio::test]
async fn who_opens_more_streams_than_there_may_be_is_refused_those() {
    let (router, mut inside, go) = waiting();
    let (address, _stop, _serving) = listening(router, shipped().server).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    socket.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    // Only who has said that it knows the limit is held to it.
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
async fn streams_that_are_reset_at_once_free_their_places_and_end_the_connection() {
    let (router, mut inside, _go) = waiting();
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
    // It is told to calm down, and hung up on; what was said before the reset of the socket may be lost.
    while let Some((kind, _, payload)) = next_frame(&mut socket).await {
        if kind == GOAWAY {
            assert_eq!(payload[4..8], [0, 0, 0, 11], "ENHANCE_YOUR_CALM");
        }
    }
    assert!(most <= STREAMS, "{most} at once");
    inside.wait_for(|inside| *inside == 0).await.unwrap();
    assert!(TcpStream::connect(address).await.is_ok());
}
