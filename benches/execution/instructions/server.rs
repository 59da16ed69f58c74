//! The measured process: the server on the main thread, its client and its upstreams on others.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::json;
use switchboard::app::App;
use switchboard::config::{ApiKeys, Config, ConfigSources};
use switchboard::sandbox::LEADLEX_PATH;
use switchboard::telemetry;
use tokio::sync::oneshot;

use crate::upstream::{COMPOSIO_KEY, LEADLEX_KEY, UNIQUE, Upstream};

const ROWS: &str = "nodes { id status userId toolkit { slug } authConfig { id authScheme } createdAt }";

/// Serves so many requests of one job, each after the other on one connection.
pub(crate) fn run(job: &str, requests: u64) {
    let upstream = Upstream::start();
    let variables = [
        ("SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL", format!("{}{LEADLEX_PATH}", upstream.base_url)),
        ("SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL", upstream.base_url.clone()),
        ("SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY", LEADLEX_KEY.to_owned()),
        ("SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY", COMPOSIO_KEY.to_owned()),
        ("SWITCHBOARD__CACHE__PROVIDERS_TTL_MS", "600000".to_owned()),
        ("SWITCHBOARD__CACHE__ACCOUNTS_TTL_MS", "600000".to_owned()),
        ("SWITCHBOARD__HTTP__LISTEN", "127.0.0.1:0".to_owned()),
        ("SWITCHBOARD__OPS__LISTEN", "127.0.0.1:0".to_owned()),
        ("SWITCHBOARD__LOG__FORMAT", "json".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into())).to_vec();
    let sources = ConfigSources { variables, keys: ApiKeys::Required, ..ConfigSources::default() };
    let config = Config::load(sources).unwrap_or_else(|errors| panic!("{errors}"));
    telemetry::start(&config.log).expect("the only log of this process");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let app = App::start(&config).await.expect("the server starts");
        let address = app.http_address();
        let (finished, stopped) = oneshot::channel::<()>();
        let job = job.to_owned();
        let client = std::thread::spawn(move || {
            send(address, &job, requests);
            let _ = finished.send(());
        });
        let stop = async {
            let _ = stopped.await;
        };
        app.run(stop, std::future::ready(())).await.expect("the server runs");
        client.join().expect("the client finishes");
    });
}

fn send(address: SocketAddr, job: &str, requests: u64) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let mut responses = BufReader::new(stream.try_clone().expect("a second handle"));
    for serial in 0..requests {
        let body = body(job, serial);
        let head = format!(
            "POST /graphql HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).expect("a request is sent");
        let response = receive(&mut responses);
        assert!(response.starts_with("{\"data\":") && !response.contains("\"errors\""), "{response:.300}");
    }
}

fn body(job: &str, serial: u64) -> String {
    match job {
        "hot" => json!({ "query": format!(
            "{{ providers(first: 20) {{ nodes {{ category name status scopes connectedAccounts(first: 10) {{ {ROWS} }} }} }} }}"
        ) }),
        "unique" => json!({
            "query": format!(
                "query ($users: [String!]) {{ connectedAccounts(first: 20, filter: {{ userIds: $users }}) {{ {ROWS} }} }}"
            ),
            "variables": { "users": [format!("{UNIQUE}{serial}")] },
        }),
        _ => panic!("no job is called {job}"),
    }
    .to_string()
}

/// Reads one response with a `Content-Length`.
fn receive(responses: &mut impl BufRead) -> String {
    let mut length = 0;
    loop {
        let mut line = String::new();
        responses.read_line(&mut line).expect("a line of the head");
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    responses.read_exact(&mut body).expect("the whole body");
    String::from_utf8(body).expect("UTF-8")
}
