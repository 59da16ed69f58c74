//! Excessive bodies, headers and connections.

use std::io;

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use switchboard::http::serve::serve_counted;
use switchboard::http::settings::ServerSettings;
use switchboard::telemetry::connections::Connections;
use switchboard::telemetry::metrics::Metrics;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use crate::config::{ConfigFile, Running, switchboard};

use super::{Server, body_of, listening, shipped, status};

const HEAD: &str = "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
const HUNDRED_MB: usize = 100_000_000;

fn reason(answer: &str) -> Value {
    serde_json::from_str::<Value>(body_of(answer)).unwrap()["errors"][0]["extensions"]["reason"].clone()
}

#[tokio::test]
async fn declared_oversized_body_is_refused_unread() {
    let server = Server::start().await;
    let answer = server.send_raw(format!("{HEAD}content-length: {HUNDRED_MB}\r\n\r\n{{\"query\":")).await;
    assert_eq!((status(&answer), reason(&answer)), (413, json!("BODY_SIZE")));
}

#[tokio::test]
async fn chunked_body_is_read_only_up_to_the_limit() {
    for declared in ["", "content-length: 5\r\n"] {
        let server = Server::start().await;
        let mut connection = server.connect().await;
        let head = format!("{HEAD}{declared}transfer-encoding: chunked\r\n\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        let (mut reading, mut writing) = connection.into_split();
        let flood = async {
            let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
            let mut sent = 0;
            while sent < HUNDRED_MB && writing.write_all(&chunk).await.is_ok() {
                sent += 0x10000;
            }
            sent
        };
        let answer = async {
            let mut answer = Vec::new();
            let _ = reading.read_to_end(&mut answer).await;
            String::from_utf8(answer).unwrap()
        };
        let (sent, answer) = tokio::join!(flood, answer);
        // The limit, and what fits into the buffers of both sockets.
        assert!(sent < 20_000_000, "{sent} bytes were taken");
        // A content length beside chunks is ignored: the chunks are read.
        assert_eq!((status(&answer), reason(&answer)), (413, json!("BODY_SIZE")), "{declared}");
    }
}

#[tokio::test]
async fn wrong_content_type_is_refused_before_the_body() {
    let server = Server::start().await;
    for head in [
        "content-type: text/plain\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "content-type: multipart/form-data; boundary=x\r\n",
        "content-type: application/graphql\r\n",
        "content-type: application/json; charset=utf-16\r\n",
        "content-type: application/json\r\ncontent-type: text/plain\r\n",
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
        "content-type: application/json\r\ncontent-encoding: br, gzip\r\n",
        "",
    ] {
        let body = r#"{"query":"{ __typename }"}"#;
        let answer = server
            .send_raw(format!(
                "POST /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}content-length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        assert_eq!((status(&answer), reason(&answer)), (415, json!("UNSUPPORTED_MEDIA_TYPE")), "{head}");
    }
}

#[tokio::test]
async fn headers_are_limited_in_size_and_number() {
    let server = Server::start().await;
    let many = (0..200).map(|i| format!("x-{i}: 1\r\n")).collect::<String>();
    for (request, expected) in [
        (
            format!("GET /graphql?query={} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(100_000)),
            [414, 414],
        ),
        (format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(100_000)), [431, 431]),
        (format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"), [431, 431]),
        ("GET / HTTP/1.1\r\nhost: localhost\r\nx-api-key: a\r\n b: c\r\n\r\n".to_owned(), [400, 400]),
        ("GET / HTTP/1.1\r\nhost: localhost\r\nx\0: 1\r\n\r\n".to_owned(), [400, 400]),
        (
            "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"
                .to_owned(),
            [400, 400],
        ),
        (
            "POST /graphql HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip\r\n\r\n".to_owned(),
            [400, 400],
        ),
    ] {
        let answer = server.send_raw(&request).await;
        assert!(
            expected.contains(&status(&answer)),
            "{}: {answer}",
            request.split("\r\n").next().unwrap_or_default()
        );
    }
}

#[tokio::test]
async fn ambiguous_length_and_host_are_refused() {
    let server = Server::start().await;
    let (chunked, long) = ("transfer-encoding: chunked\r\n", "content-length: 30\r\n");
    let body = r#"{"query":"{ connectedAccounts(first: 1) { totalCount } }"}"#;
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let post = "POST /graphql HTTP/1.1\r\ncontent-type: application/json\r\n";
    let next = "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    // The chunks are read, and nothing after them (RFC 9112 section 6.3).
    for head in [format!("{chunked}{long}"), format!("{long}{chunked}")] {
        let answer = server.send_raw(format!("{post}host: localhost\r\n{head}\r\n{chunks}{next}")).await;
        assert_eq!(status(&answer), 200, "{head}: {answer}");
        assert!(body_of(&answer).starts_with(r#"{"data":"#), "{head}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{head}: {answer}");
    }
    server.world.calls();
    for head in [
        "host: localhost\r\ntransfer-encoding: gzip, chunked\r\n".to_owned(),
        "host: localhost\r\ntransfer-encoding: chunked, chunked\r\n".to_owned(),
        format!("host: localhost\r\n{chunked}{chunked}"),
        format!("host: localhost\r\n{chunked}transfer-encoding: identity, chunked\r\n{long}"),
        chunked.to_owned(),
        format!("host: localhost\r\nhost: localhost\r\n{chunked}"),
        format!("host: two words\r\n{chunked}"),
    ] {
        let answer = server.send_raw(format!("{post}{head}\r\n{chunks}{next}")).await;
        assert_eq!((status(&answer), reason(&answer)), (400, json!("BAD_REQUEST")), "{head}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{head}: {answer}");
    }
    assert_eq!(server.world.calls(), [""; 0]);
}

/// Sends one request on a persistent connection.
async fn send_request(connection: &mut TcpStream) -> io::Result<String> {
    connection.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut answer = vec![0; 4096];
    let read = connection.read(&mut answer).await?;
    answer.truncate(read);
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_with_503() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let busy = async move || {
        arrived.send(()).unwrap();
        std::future::pending::<&str>().await
    };
    let router = Router::new().route("/", get("hello")).route("/busy", get(busy));
    let settings = ServerSettings { connections_max: 2, write_timeout_ms: 100, ..shipped().server };
    let (address, _stop, _serving) = listening(router, settings).await;

    let mut holding = Vec::new();
    for _ in 0..2 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(b"GET /busy HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        arrivals.recv().await.unwrap();
        holding.push(connection);
    }
    for _ in 0..3 {
        let mut beyond = TcpStream::connect(address).await.unwrap();
        let answer = send_request(&mut beyond).await.unwrap();
        assert_eq!(status(&answer), 503);
        let head = answer.to_lowercase();
        assert!(head.contains("retry-after: 1\r\n") && head.contains("connection: close\r\n"), "{answer}");
        let body: Value = serde_json::from_str(body_of(&answer)).unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "OVERLOADED");
        assert_eq!(beyond.read(&mut [0]).await.unwrap(), 0, "the connection is closed");
    }
    holding.pop();
    // The slot is free when the server has seen the disconnect.
    loop {
        let mut next = TcpStream::connect(address).await.unwrap();
        if send_request(&mut next).await.is_ok_and(|answer| answer.ends_with("hello")) {
            break;
        }
    }
}

#[tokio::test]
async fn http2_works_with_prior_knowledge() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    // The preface and empty settings (RFC 9113 section 3.4).
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    connection.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "the server sends its settings");
}

#[tokio::test]
async fn shutdown_refuses_new_connections_and_completes_running_requests() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let busy = async move || {
        let (release, released) = oneshot::channel::<&str>();
        arrived.send(release).unwrap();
        released.await.unwrap()
    };
    let router = Router::new().route("/", get("hello")).route("/busy", get(busy));
    let (address, stop, serving) = listening(router, shipped().server).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    assert!(send_request(&mut idle).await.unwrap().starts_with("HTTP/1.1 200"));
    let mut running = TcpStream::connect(address).await.unwrap();
    running.write_all(b"GET /busy HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let release = arrivals.recv().await.unwrap();

    stop.send(()).unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0, "an idle connection is closed");
    assert!(TcpStream::connect(address).await.is_err());
    assert!(!serving.is_finished(), "it waits");
    release.send("done").unwrap();
    let mut answer = String::new();
    running.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    serving.await.unwrap().unwrap();
}

/// The running request waits for an upstream that accepts the call and responds when the test lets it.
#[cfg(unix)]
#[test]
fn signalled_process_completes_running_requests() {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;

    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = ConfigFile::new(&format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n[upstream.leadlex]\nbase_url = \"http://{}\"\n",
        upstream.local_addr().unwrap()
    ));
    let (mut process, line) =
        Running::start_until(switchboard(&["serve", "--config", file.path()]), "listening on ");
    let address =
        line.trim_end().strip_prefix("listening on http://").unwrap().strip_suffix("/graphql").unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let body = r#"{"query":"{ providers { totalCount } }"}"#;
    write!(client, "{HEAD}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let (mut call, _) = upstream.accept().unwrap();
    assert!(call.read(&mut [0; 4096]).unwrap() > 0);

    assert!(Command::new("kill").args(["-TERM", &process.0.id().to_string()]).status().unwrap().success());
    // The signal was received when new connections are refused.
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    call.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("UPSTREAM_REJECTED"), "{answer}");
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn signalled_process_exits_with_success() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    for signal in ["-TERM", "-INT"] {
        let mut process = Command::new(env!("CARGO_BIN_EXE_switchboard"))
            .args(["demo", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("GraphiQL: http://"), "{line}");
        assert!(Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success());
        assert_eq!(process.wait().unwrap().code(), Some(0), "{signal}");
    }
}

/// A connection that is refused, or that sends no HTTP, has no request to count.
#[tokio::test]
async fn refused_connections_are_counted_by_reason() {
    let metrics = Metrics::default();
    let connections = Connections::measured_by(&metrics, "public");
    let settings = ServerSettings { connections_max: 1, ..shipped().server };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get("hello"));
    let (_stop, stopped) = oneshot::channel::<()>();
    let end = async { drop(stopped.await) };
    let _serving = tokio::spawn(serve_counted(listener, router, settings, connections, end));
    let count = |series: &str| {
        let page = metrics.page();
        let line =
            page.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_default().trim().to_owned();
        line.parse::<f64>().unwrap_or_else(|_| panic!("no {series} in {page}"))
    };
    let refused = |reason: &str| {
        count(&format!("switchboard_connections_refused_total{{listener=\"public\",reason=\"{reason}\"}}"))
    };
    let open = || count("switchboard_connections_open{listener=\"public\"}");

    let mut first = TcpStream::connect(address).await.unwrap();
    send_request(&mut first).await.unwrap();
    let mut beyond = TcpStream::connect(address).await.unwrap();
    assert_eq!(status(&send_request(&mut beyond).await.unwrap()), 503);
    assert_eq!((open(), refused("full"), refused("flooded")), (1.0, 1.0, 0.0));
    drop((first, beyond));

    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    for (head, reason, expected) in [("hello\r\n\r\n", "malformed", 400), (&long, "head_too_large", 431)] {
        // Refused until the server has seen the last disconnect.
        let mut answered = 503;
        while answered == 503 {
            let mut connection = TcpStream::connect(address).await.unwrap();
            let mut answer = Vec::new();
            let sent = connection.write_all(head.as_bytes()).await;
            let read = connection.read_to_end(&mut answer).await;
            if sent.is_ok() && read.is_ok() && !answer.is_empty() {
                answered = status(&String::from_utf8(answer).unwrap());
            }
        }
        assert_eq!(answered, expected);
        while refused(reason) == 0.0 {
            tokio::task::yield_now().await;
        }
    }
}
