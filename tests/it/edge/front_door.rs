//! What lies around `/graphql`: the front page, the probes, the end of serving.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get as route_get;
use switchboard::http::{ops, serve::serve};
use switchboard::telemetry::metrics::Metrics;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::{anybody, ask, edge, get, post, server_settings};

#[tokio::test]
async fn the_front_page_names_the_graph() {
    let seen = ask(edge(anybody()), get("/")).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert_eq!(seen.text, "Switchboard: the graph answers at /graphql (POST, GET).\n");
    assert_eq!(seen.header("x-content-type-options"), "nosniff");
    assert_eq!(seen.header("x-request-id").len(), 32);
}

#[tokio::test]
async fn elsewhere_there_is_nothing_and_the_answer_is_json() {
    let seen = ask(edge(anybody()), get("/graphqll")).await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    assert_eq!(seen.message(), "There is nothing at this path: the graph answers at /graphql.");

    let mut request = post("");
    *request.uri_mut() = "/".parse().unwrap();
    let seen = ask(edge(anybody()), request).await;
    assert_eq!((seen.status, seen.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
    assert_eq!(seen.headers.get_all("allow").iter().count(), 1);
}

#[tokio::test]
async fn probes_are_answered() {
    for (path, word) in [("/live", "live\n"), ("/ready", "ready\n")] {
        let seen =
            ask(ops::router(&anybody(), &ops::Readiness::default(), Metrics::default()), get(path)).await;
        assert_eq!((seen.status, seen.text.as_str()), (StatusCode::OK, word));
    }
}

#[tokio::test]
async fn a_running_request_is_answered_after_the_end_is_asked_for() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (release, released) = oneshot::channel::<()>();
    let released = std::sync::Arc::new(tokio::sync::Mutex::new(Some(released)));
    let slow = async move || {
        arrived.send(()).unwrap();
        released.lock().await.take().unwrap().await.unwrap();
        "done"
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let router = Router::new().route("/", route_get(slow));
    let serving = tokio::spawn(serve(listener, router, server_settings(), async {
        let _ = stopped.await;
    }));

    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    arrivals.recv().await.unwrap();
    stop.send(()).unwrap();
    release.send(()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    serving.await.unwrap().unwrap();
}
