//! Routes beside `/graphql`: the front page, the probes, and graceful shutdown.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get as route_get;
use switchboard::http::{ops, serve::serve};
use switchboard::telemetry::metrics::Metrics;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::{default_callers, edge, get, post, send, server_settings};

#[tokio::test]
async fn front_page_names_the_graphql_path() {
    let response = send(edge(default_callers()), get("/")).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.text, "Switchboard: GraphQL is served at /graphql (POST, GET).\n");
    assert_eq!(response.header("x-content-type-options"), "nosniff");
    assert_eq!(response.header("x-request-id").len(), 32);
}

#[tokio::test]
async fn unknown_path_is_404_json() {
    let response = send(edge(default_callers()), get("/graphqll")).await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert_eq!(response.message(), "Nothing is served at this path. GraphQL is served at /graphql.");

    let mut request = post("");
    *request.uri_mut() = "/".parse().unwrap();
    let response = send(edge(default_callers()), request).await;
    assert_eq!((response.status, response.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
    assert_eq!(response.headers.get_all("allow").iter().count(), 1);
}

#[tokio::test]
async fn probes_return_200() {
    for (path, word) in [("/live", "live\n"), ("/ready", "ready\n")] {
        let response =
            send(ops::router(&default_callers(), &ops::Readiness::default(), Metrics::default()), get(path))
                .await;
        assert_eq!((response.status, response.text.as_str()), (StatusCode::OK, word));
    }
}

#[tokio::test]
async fn shutdown_completes_running_requests() {
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
