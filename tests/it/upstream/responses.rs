//! Unusual but lawful HTTP responses of an upstream, over real sockets.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::filters::{AccountFilter, AccountOrder};
use switchboard::domain::upstream_name::{Composio, UpstreamName};
use switchboard::upstream::accounts::AccountsClient;
use switchboard::upstream::error::UpstreamError;
use switchboard::upstream::quota::Purpose;
use switchboard::upstream::transport::{self, Transport};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::world::upstream_by_default;

/// A Composio that answers every request with the same response, and closes each connection when its second request
/// arrives.
struct FixedUpstream {
    accounts: AccountsClient,
    key: Credential<Composio>,
    requests: Arc<AtomicUsize>,
}

impl FixedUpstream {
    async fn start(response: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer_one(connection, response.clone(), Arc::clone(&seen)));
            }
        });
        let network = transport::network(&base.parse().unwrap()).unwrap();
        let clock = Clock::system();
        let mut settings = upstream_by_default("/");
        settings.base_url = base.parse().unwrap();
        let transport = Transport::new(UpstreamName::Composio, settings, network, clock);
        Self { accounts: AccountsClient::new(transport), key: Credential::new("ak_test").unwrap(), requests }
    }

    async fn rows(&self) -> Result<usize, UpstreamError> {
        let (filter, order) = (AccountFilter::default(), AccountOrder::NEWEST_FIRST);
        let page = self.accounts.fetch_page(&self.key, &filter, order, None, 100, Purpose::Needed).await?;
        Ok(page.items.len())
    }
}

/// Responds to the first request of a connection. The second one is read, and the connection closes.
async fn answer_one(connection: TcpStream, response: Vec<u8>, requests: Arc<AtomicUsize>) {
    let mut connection = BufReader::new(connection);
    for is_first in [true, false] {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if connection.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
        }
        requests.fetch_add(1, Ordering::Relaxed);
        if is_first {
            connection.write_all(&response).await.unwrap();
        }
    }
}

fn page() -> Vec<u8> {
    let item = json!({ "id": "ca_1", "toolkit": { "slug": "gmail" }, "auth_config": { "id": "ac_1" }, "status": "ACTIVE" });
    json!({ "items": [item], "next_cursor": null, "total_items": 1 }).to_string().into_bytes()
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn valid_responses_are_decoded_in_every_form() {
    let (page, packed) = (page(), gzip(&page()));
    let members = [gzip(&page[..40]), gzip(&page[40..])].concat();
    let many_headers: String = (0..300).map(|number| format!("x-header-{number}: value\r\n")).collect();
    for (form, response) in [
        ("plain", response("200 OK", "", &page)),
        ("gzip", response("200 OK", "content-encoding: gzip\r\n", &packed)),
        ("x-gzip", response("200 OK", "content-encoding: x-gzip\r\n", &packed)),
        ("upper case", response("200 OK", "content-encoding: GZIP\r\n", &packed)),
        ("several members", response("200 OK", "content-encoding: gzip\r\n", &members)),
        ("203", response("203 Non-Authoritative Information", "", &page)),
        ("byte order mark", response("200 OK", "", &[b"\xef\xbb\xbf".as_slice(), &page].concat())),
        ("300 headers", response("200 OK", &many_headers, &page)),
    ] {
        let upstream = FixedUpstream::start(response).await;
        assert_eq!(upstream.rows().await.unwrap(), 1, "{form}");
        assert_eq!(upstream.requests.load(Ordering::Relaxed), 1, "{form}");
    }
}

#[tokio::test]
async fn closed_idle_connection_is_replaced() {
    let upstream = FixedUpstream::start(response("200 OK", "", &page())).await;
    for _ in 0..40 {
        assert_eq!(upstream.rows().await.unwrap(), 1);
    }
}
