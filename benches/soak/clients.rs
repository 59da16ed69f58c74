//! The clients: correct ones, some that disconnect, and some that read slowly or not at all.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::requests::{Caller, Tally, TenantData};
use super::upstreams::Upstreams;

/// The number of clients of each kind per caller.
const CORRECT: usize = 3;
const ABORTING: usize = 1;
const SLOW: usize = 1;

/// The server under load, and the record of observations.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) port: u16,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) known: Arc<TenantData>,
    pub(crate) tally: Arc<Mutex<Tally>>,
}

impl Load {
    /// Starts all clients.
    pub(crate) fn start(&self, rng: &mut Rng) -> Vec<JoinHandle<()>> {
        let mut clients = Vec::new();
        for caller in Caller::all() {
            for _ in 0..CORRECT {
                clients.push(tokio::spawn(self.clone().correct(caller.clone(), rng.fork())));
            }
            for _ in 0..ABORTING {
                clients.push(tokio::spawn(self.clone().aborting(caller.clone(), rng.fork())));
            }
            for _ in 0..SLOW {
                clients.push(tokio::spawn(self.clone().slow(caller.clone(), rng.fork())));
            }
        }
        clients
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/graphql", self.port)
    }

    async fn send(
        &self,
        client: &reqwest::Client,
        caller: &Caller,
        question: &Value,
    ) -> Result<(u16, String), reqwest::Error> {
        let request = client
            .post(self.url())
            .header("authorization", format!("Bearer {}", caller.token))
            .header("content-type", "application/json")
            .header("accept", "application/graphql-response+json")
            .body(question.to_string());
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Sends one request without a check of its response.
    pub(crate) async fn send_unchecked(&self, caller: &Caller, question: &Value) {
        drop(self.send(&client(), caller, question).await.unwrap());
    }

    async fn correct(self, caller: Caller, mut rng: Rng) {
        let client = client();
        loop {
            let question = caller.random_request(&mut rng, &self.known);
            let sent_at = Instant::now();
            match self.send(&client, &caller, &question).await {
                Ok((status, text)) => {
                    let mut tally = self.tally.lock().unwrap();
                    tally.check(&caller, &self.known, &self.upstreams, sent_at, (status, &text));
                }
                Err(error) => self
                    .tally
                    .lock()
                    .unwrap()
                    .report_violation(format!("no response for {}: {error:?}", caller.name)),
            }
            tokio::time::sleep(Duration::from_millis(rng.u64(..120))).await;
        }
    }

    async fn aborting(self, caller: Caller, mut rng: Rng) {
        let client = client();
        loop {
            let question = caller.random_request(&mut rng, &self.known);
            let patience = Duration::from_millis(rng.u64(..60));
            let answered = tokio::time::timeout(patience, self.send(&client, &caller, &question)).await;
            self.tally.lock().unwrap().aborted += u64::from(answered.is_err());
            tokio::time::sleep(Duration::from_millis(rng.u64(..200))).await;
        }
    }

    /// Sends half a request, or a complete one whose response it reads byte by byte or not at all.
    async fn slow(self, caller: Caller, mut rng: Rng) {
        loop {
            self.tally.lock().unwrap().slow += 1;
            let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.port)).await else { continue };
            let body = caller.random_request(&mut rng, &self.known).to_string();
            let request = format!(
                "POST /graphql HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                caller.token,
                body.len(),
            );
            let (sent, reads) = match rng.usize(..3) {
                0 => (rng.usize(..request.len()), 0),
                1 => (request.len(), 0),
                _ => (request.len(), rng.usize(1..200)),
            };
            if connection.write_all(&request.as_bytes()[..sent]).await.is_err() {
                continue;
            }
            for _ in 0..reads {
                if !matches!(connection.read(&mut [0; 16]).await, Ok(1..)) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_millis(rng.u64(..6_000))).await;
        }
    }
}

fn client() -> reqwest::Client {
    // Its connections end before the server's timeout.
    let builder = reqwest::Client::builder().no_proxy().pool_idle_timeout(Duration::from_secs(3));
    builder.timeout(Duration::from_secs(20)).build().unwrap()
}
