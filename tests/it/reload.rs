//! `switchboard serve` and its signals: SIGHUP reloads the configuration, SIGTERM drains and stops. Real processes and
//! sockets; the tests wait for log lines, frames and responses.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use axum::http::StatusCode;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use switchboard::http::caller::tokens::NewToken;
use switchboard::sandbox::{self, LEADLEX_PATH, Sandbox};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::auth_modes::serve_router;
use crate::config::{ConfigFile, Running, switchboard};
use crate::world::only_error;

const QUERY: &str =
    "{ providers { totalCount nodes { name } } connectedAccounts(first: 5) { nodes { userId } } }";
const CHANGES: &str = "subscription { connectedAccountChanged { kind } }";

/// A process, its log, its file, and the upstreams.
pub(crate) struct Serving {
    process: Running,
    log: Mutex<mpsc::Receiver<String>>,
    file: ConfigFile,
    upstreams: SocketAddr,
    sandbox: Sandbox,
    pub(crate) graph: String,
    pub(crate) ops: String,
    pub(crate) client: reqwest::Client,
}

impl Serving {
    /// Starts a process with these settings besides the URLs of the upstreams.
    async fn start(settings: &str) -> Self {
        Self::start_with(settings, |_| {}).await
    }

    /// The same with a changed command.
    pub(crate) async fn start_with(settings: &str, change: impl FnOnce(&mut Command)) -> Self {
        let settings_of_sandbox = sandbox::Settings { accounts: 60, ..sandbox::Settings::default() };
        let sandbox = Sandbox::new(settings_of_sandbox, sandbox::Clock::system());
        let upstreams = serve_router(sandbox.router()).await;
        let file = ConfigFile::new(&whole(upstreams, settings));
        let mut command = switchboard(&["serve", "--config", file.path()]);
        command.env_clear();
        change(&mut command);
        let (mut process, printed) = Running::start_until(command, "Probes: ");
        let place = |begin: &str| {
            let line = printed.lines().find_map(|line| line.strip_prefix(begin)).unwrap();
            line.split(',').next().unwrap().to_owned()
        };
        let (lines, log) = mpsc::channel();
        let log = Mutex::new(log);
        let errors = BufReader::new(process.0.stderr.take().unwrap());
        std::thread::spawn(move || errors.lines().try_for_each(|line| lines.send(line.unwrap())));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let ops = place("Probes: ").strip_suffix("/live").unwrap().to_owned();
        let graph = place("listening on ");
        Self { process, log, file, upstreams, sandbox, graph, ops, client }
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.process.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// The next lines of the log, up to one that contains this text.
    pub(crate) fn logged(&self, text: &str) -> Vec<String> {
        let (mut lines, log) = (Vec::new(), self.log.lock().unwrap());
        while !lines.last().is_some_and(|line: &String| line.contains(text)) {
            lines.push(log.recv().unwrap_or_else(|_| panic!("it ended without `{text}`: {lines:#?}")));
        }
        lines
    }

    /// Rewrites the file and reloads it; the lines of the log, up to one that contains `last`.
    fn reload(&self, settings: &str, until: &str) -> Vec<String> {
        self.file.rewrite(&whole(self.upstreams, settings));
        self.signal("HUP");
        self.logged(until)
    }

    pub(crate) async fn ask(&self, token: &str, query: &str) -> (StatusCode, Value) {
        self.post(token, &json!({ "query": query })).await
    }

    /// The same with the trace of its calls.
    async fn ask_traced(&self, token: &str, query: &str) -> (StatusCode, Value) {
        let traced = json!({ "query": query, "extensions": { "switchboard": { "trace": true } } });
        self.post(token, &traced).await
    }

    async fn post(&self, token: &str, body: &Value) -> (StatusCode, Value) {
        let request =
            self.client.post(&self.graph).header("content-type", "application/json").bearer_auth(token);
        let response = request.body(body.to_string()).send().await.unwrap();
        (response.status(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    async fn subscribe(&self, token: &str) -> WebSocketStream<TcpStream> {
        let address = self.graph.strip_prefix("http://").unwrap().strip_suffix("/graphql").unwrap();
        let mut request = format!("ws://{address}/graphql").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let payload = json!({ "Authorization": format!("Bearer {token}") });
        say(&mut socket, &json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(hear(&mut socket).await["type"], "connection_ack");
        say(&mut socket, &json!({ "type": "subscribe", "id": "s", "payload": { "query": CHANGES } })).await;
        socket
    }

    /// The events of a subscription that has started.
    pub(crate) async fn listen(&self, token: &str) -> reqwest::Response {
        let body = json!({ "query": CHANGES }).to_string();
        let request =
            self.client.post(&self.graph).header("content-type", "application/json").bearer_auth(token);
        let mut response = request.header("accept", "text/event-stream").body(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.chunk().await.unwrap().is_some());
        response
    }
}

fn whole(upstreams: SocketAddr, settings: &str) -> String {
    format!(
        "{settings}\n[upstream.leadlex]\nbase_url = \"http://{upstreams}{LEADLEX_PATH}\"\napi_key = \"wbk_sandbox_a\"\n\
         [upstream.composio]\nbase_url = \"http://{upstreams}\"\napi_key = \"ak_sandbox_a\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
         [cache]\nproviders_ttl_ms = 86_400_000\naccounts_ttl_ms = 86_400_000\n"
    )
}

const ON_ANY_PORT: &str = "[http]\nlisten = \"127.0.0.1:0\"\n";

/// Settings with these tokens, each with a name and more keys of its entry, and `more` settings.
fn tokens(known: &[(&str, &NewToken, &str)], more: &str) -> String {
    let entries = known.iter().map(|(name, token, more)| {
        format!("[[auth.tokens]]\nname = \"{name}\"\nsha256 = \"{}\"\n{more}\n", token.sha256)
    });
    format!("{ON_ANY_PORT}{more}\n[auth]\nmode = \"tokens\"\n{}", entries.collect::<String>())
}

const ADMIN: &str = "role = \"admin\"";

async fn say(socket: &mut WebSocketStream<TcpStream>, message: &Value) {
    socket.send(Message::Text(message.to_string().into())).await.unwrap();
}

/// The next message that is not a ping.
async fn hear(socket: &mut WebSocketStream<TcpStream>) -> Value {
    loop {
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else { continue };
        let message: Value = serde_json::from_str(text.as_str()).unwrap();
        if message["type"] == "ping" {
            say(socket, &json!({ "type": "pong" })).await;
        } else {
            return message;
        }
    }
}

/// The close code and reason.
async fn closed(mut socket: WebSocketStream<TcpStream>) -> (u16, String) {
    loop {
        if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
            let frame = frame.unwrap();
            return (frame.code.into(), frame.reason.to_string());
        }
    }
}

/// The response to an operation over an open WebSocket.
async fn asked_over(socket: &mut WebSocketStream<TcpStream>, query: &str) -> Value {
    say(socket, &json!({ "type": "subscribe", "id": "q", "payload": { "query": query } })).await;
    let mut answer = Value::Null;
    loop {
        let message = hear(socket).await;
        match message["type"].as_str() {
            Some("complete") if message["id"] == "q" => return answer,
            Some("error") if message["id"] == "q" => return message["payload"].clone(),
            Some("next") if message["id"] == "q" => answer = message["payload"].clone(),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_valid_from_the_reload_that_adds_it_to_the_one_that_removes_it() {
    let [office, leaving, promoted, newcomer] = [0; 4].map(|_| NewToken::random().unwrap());
    let member = "role = \"member\"\nuser_id = \"user_1\"";
    let serving = Serving::start(&tokens(
        &[("office", &office, ADMIN), ("leaving", &leaving, ADMIN), ("promoted", &promoted, member)],
        "",
    ))
    .await;
    assert_eq!(serving.ask(&newcomer.text, QUERY).await.0, StatusCode::UNAUTHORIZED);
    let (status, before) = serving.ask(&office.text, QUERY).await;
    assert_eq!((status, before.get("errors")), (StatusCode::OK, None), "{before}");
    let mut stays = serving.subscribe(&office.text).await;
    let (leaves, changes) = (serving.subscribe(&leaving.text).await, serving.subscribe(&promoted.text).await);
    let mut events = serving.listen(&leaving.text).await;
    let viewer = "{ viewer { name } }";
    assert_eq!(asked_over(&mut stays, viewer).await["data"]["viewer"]["name"], "office");

    let known = [("boss", &office, ADMIN), ("promoted", &promoted, ADMIN), ("newcomer", &newcomer, ADMIN)];
    let lines = serving.reload(&tokens(&known, ""), "configuration reloaded");
    assert!(lines.last().unwrap().contains("auth.tokens"), "{lines:#?}");

    let refused =
        "The token in `Authorization` is not valid: no [[auth.tokens]] entry of the server has its hash.";
    assert_eq!(closed(leaves).await, (4403, refused.to_owned()));
    assert_eq!(
        closed(changes).await,
        (4403, "The token's role or tenant has changed. Connect again.".to_owned())
    );
    let mut rest = String::new();
    while let Some(chunk) = events.chunk().await.unwrap() {
        rest.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(rest.contains(refused) && rest.contains("UNAUTHENTICATED"), "{rest}");
    assert!(rest.contains("event: complete"), "{rest}");
    assert_eq!(serving.ask(&leaving.text, QUERY).await.0, StatusCode::UNAUTHORIZED);
    // The same caller continues under its new name.
    assert_eq!(asked_over(&mut stays, viewer).await["data"]["viewer"]["name"], "boss");
    // The new one finds what others have read.
    for token in [&office, &newcomer] {
        let (status, mut answer) = serving.ask_traced(&token.text, QUERY).await;
        let trace = answer["extensions"].take();
        assert_eq!(trace["switchboard"]["trace"]["calls"], json!([]), "{trace}");
        assert_eq!((status, &answer["data"]), (StatusCode::OK, &before["data"]));
    }

    let logged = lines.join("\n");
    for token in [&office, &leaving, &promoted, &newcomer] {
        assert!(!logged.contains(&token.text) && !logged.contains(&token.sha256), "{logged}");
    }
    assert!(!logged.contains("_sandbox_"), "{logged}");
}

#[test]
fn the_request_log_of_a_process_follows_its_level() {
    let with_level = |level: &str| {
        format!(
            "{ON_ANY_PORT}[ops]\nlisten = \"127.0.0.1:0\"\n[log]\nformat = \"json\"\nlevel = \"{level}\"\n"
        )
    };
    let file = ConfigFile::new(&with_level("info"));
    let mut command = switchboard(&["serve", "--config", file.path()]);
    // A log of JSON lines has the addresses, and standard output has none.
    let mut process = Running(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(process.0.stderr.take().unwrap());
    let mut messages_until = |last: &str| {
        let mut lines: Vec<Value> = Vec::new();
        while !lines.last().is_some_and(|line| line["fields"]["message"] == last) {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended without `{last}`: {lines:#?}");
            lines.push(serde_json::from_str(&line).unwrap());
        }
        lines
    };
    let serving = messages_until("serving").pop().unwrap();
    let address = serving["fields"]["graph"].as_str().unwrap();
    let ask = || {
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        let query = "query=query+Who%7Bviewer%7Bname%7D%7D";
        let head = format!("GET /graphql?{query} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        connection.write_all(head.as_bytes()).unwrap();
        let mut response = String::new();
        connection.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    };
    let reload = |level: &str| {
        file.rewrite(&with_level(level));
        let kill = format!("kill -HUP {}", process.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    };

    ask();
    let line = messages_until("request").pop().unwrap();
    let fields = &line["fields"];
    assert_eq!((&fields["operation"], &fields["outcome"]), (&json!("Who"), &json!("ok")), "{line}");
    assert_eq!((&fields["route"], &fields["status"]), (&json!("graphql"), &json!(200)), "{line}");
    assert_eq!((&line["level"], &line["target"]), (&json!("INFO"), &json!("switchboard::requests")));
    assert_eq!((&line["span"]["method"], line["span"]["id"].is_string()), (&json!("GET"), true), "{line}");

    reload("info,switchboard::requests=off");
    messages_until("configuration reloaded");
    ask();
    reload("info");
    assert_eq!(messages_until("configuration reloaded").len(), 1, "no line of the request");
    ask();
    assert_eq!(messages_until("request").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_reload_or_one_that_needs_a_restart_changes_nothing() {
    let office = NewToken::random().unwrap();
    let configured = |more: &str| tokens(&[("office", &office, ADMIN)], more);
    let serving = Serving::start(&configured("[log]\nlevel = \"warn\"")).await;
    let mut socket = serving.subscribe(&office.text).await;
    let deep = "{ providers(first: 1) { nodes { name } } }";
    assert_eq!(serving.ask(&office.text, deep).await.1.get("errors"), None);

    let refused = |settings: &str, last: &str| {
        let lines = serving.reload(settings, last);
        assert!(lines.iter().all(|line| line.contains("configuration not reloaded: ")), "{lines:#?}");
        lines
    };
    let wrong = "[limits]\ndepth = 2\nalias = 3\n[redis]\npassword = 7\n[lists]\npage_rows = 1_000";
    let lines = refused(&configured(wrong), "lists.page_rows");
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].contains("limits.alias: unknown setting; did you mean limits.aliases?"), "{lines:#?}");
    let broken = refused("[limits\n", "not valid TOML");
    assert_eq!(broken.len(), 1, "{broken:#?}");
    let fixed = "[limits]\ndepth = 2\n[server]\nconnections_max = 7\n[lists]\npage_rows = 50";
    let lines = refused(&configured(fixed), "server.connections_max: has changed, which needs a restart");
    assert!(lines[0].contains("lists.page_rows: has changed, which needs a restart"), "{lines:#?}");
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!(
        serving.ask(&office.text, deep).await.1.get("errors"),
        None,
        "the old configuration stays in force"
    );
    let page =
        serving.client.get(format!("{}/metrics", serving.ops)).send().await.unwrap().text().await.unwrap();
    for counter in ["{outcome=\"ok\"} 0", "{outcome=\"refused\"} 3"] {
        assert!(page.contains(&format!("switchboard_config_reloads_total{counter}\n")), "{page}");
    }

    // The new log level is in force with the rest.
    let lines =
        serving.reload(&configured("[limits]\ndepth = 2\n[log]\nlevel = \"info\""), "configuration reloaded");
    assert!(lines[0].contains("limits.depth, log.level"), "{lines:#?}");
    let (_, answer) = serving.ask(&office.text, deep).await;
    assert_eq!(only_error(&answer)["extensions"]["reason"], "DEPTH", "{answer}");
    let answer = asked_over(&mut socket, deep).await;
    assert_eq!(answer[0]["extensions"]["reason"], "DEPTH", "{answer}");

    let same = configured("[limits]\ndepth = 2\n[log]\nlevel = \"info\"");
    serving.reload(&same, "configuration reloaded: no setting has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_trusted_document_is_a_warning_at_the_start_and_rejects_a_reload() {
    let office = NewToken::random().unwrap();
    let good = json!({ "names": "{ providers(first: 1) { nodes { name } } }" });
    let worse = json!({ "names": "{ viewer { nickname } }", "more": "{ viewer { name } }" });
    let manifest = ConfigFile::new(&worse.to_string());
    let configured = |depth: usize| {
        let more = format!("[limits]\ndepth = {depth}\n[documents]\ntrusted = {:?}", manifest.path());
        tokens(&[("office", &office, ADMIN)], &more)
    };
    let serving = Serving::start(&configured(15)).await;
    let warned = serving.logged("a trusted document is not valid");
    assert!(warned.last().unwrap().contains("nickname"), "{warned:#?}");
    let named = json!({ "documentId": "names" });
    assert!(
        serving.post(&office.text, &named).await.1["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("nickname")
    );

    manifest.rewrite(&good.to_string());
    serving.reload(&configured(15), "configuration reloaded");
    let answer = serving.post(&office.text, &named).await;
    assert_eq!((answer.0, answer.1.get("errors")), (StatusCode::OK, None), "{}", answer.1);

    // Broken itself, or by what has become of a limit.
    manifest.rewrite(&worse.to_string());
    let refused = "configuration not reloaded: documents.trusted: \"names\" is not valid: ";
    let lines = serving.reload(&configured(15), refused);
    assert!(lines.last().unwrap().contains("nickname"), "{lines:#?}");
    manifest.rewrite(&good.to_string());
    serving.reload(&configured(1), refused);
    assert_eq!(serving.post(&office.text, &named).await, answer, "the old configuration stays in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_during_reloads() {
    let office = NewToken::random().unwrap();
    let configured = |depth: usize| {
        tokens(
            &[("office", &office, ADMIN)],
            &format!("[limits]\ndepth = {depth}\n[documents]\nautomatic = true"),
        )
    };
    let serving = Arc::new(Serving::start(&configured(15)).await);
    let (_, answer) = serving.ask(&office.text, QUERY).await;
    let calls = serving.sandbox.requests().len();
    let (is_over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (serving, is_over, asked) = (Arc::clone(&serving), Arc::clone(&is_over), Arc::clone(&asked));
            let (token, answer) = (office.text.clone(), answer.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(serving.ask(&token, QUERY).await, (StatusCode::OK, answer.clone()));
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for time in 0..4 {
        let before = asked.load(Ordering::Relaxed);
        let (reloading, settings) = (Arc::clone(&serving), configured(16 + time));
        let reload = move || reloading.reload(&settings, "configuration reloaded");
        tokio::task::spawn_blocking(reload).await.unwrap();
        // Each is in force for some requests.
        while asked.load(Ordering::Relaxed) < before + 8 {
            assert!(!asking.iter().any(tokio::task::JoinHandle::is_finished), "a request failed");
            tokio::task::yield_now().await;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for asking in asking {
        asking.await.unwrap();
    }
    assert_eq!(serving.sandbox.requests().len(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_makes_it_not_ready_while_requests_are_still_served() {
    let office = NewToken::random().unwrap();
    let drain = "[server]\ndrain_ms = 600_000";
    let mut serving = Serving::start(&tokens(&[("office", &office, ADMIN)], drain)).await;
    let address = serving.ops.strip_prefix("http://").unwrap().to_owned();
    let ready = || {
        let output = switchboard(&["ready", "--ops-listen", &address]).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    assert_eq!(ready(), (Some(0), "ready\n".to_owned()));
    serving.signal("TERM");
    serving.logged("shutdown requested: draining for 600s, /ready now returns 503");
    assert_eq!(ready(), (Some(1), format!("switchboard: not ready: {address} returned 503\n")));
    let live = serving.client.get(format!("{}/live", serving.ops)).send().await.unwrap();
    assert_eq!(live.status(), StatusCode::OK);
    // Over a new connection, as a load balancer that has not noticed yet.
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    serving.client = stranger;
    assert_eq!(serving.ask(&office.text, QUERY).await.0, StatusCode::OK);
    serving.signal("TERM");
    assert!(serving.process.0.wait().unwrap().success());
    let (code, said) = ready();
    assert_eq!(code, Some(1));
    assert!(said.starts_with(&format!("switchboard: cannot connect to {address}: ")), "{said}");
}

#[test]
fn ready_reads_only_ops_listen() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let file = ConfigFile::new(&format!("[ops]\nlisten = \"{address}\"\n[limits]\ndepth = \"none\"\n"));
    let said = |command: &mut Command| {
        let output = command.env_clear().output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let waited = said(&mut switchboard(&["ready", "--config", file.path()]));
    assert_eq!(
        waited,
        (Some(1), format!("switchboard: no response from {address} within 2s: deadline has elapsed\n"))
    );
    drop(silent);
    file.rewrite("[ops\n");
    let (code, line) = said(&mut switchboard(&["ready", "--config", file.path()]));
    assert!(code == Some(2) && line.contains("not valid TOML"), "{line}");
    let address = address.to_string();
    let (code, line) = said(&mut switchboard(&["ready", "--config", file.path(), "--ops-listen", &address]));
    assert!(code == Some(1) && line.contains("cannot connect to"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_notified_of_start_reload_and_shutdown() {
    let folder = std::env::temp_dir().join(format!("switchboard-notify-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    let received = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let serving = Serving::start_with(ON_ANY_PORT, |command| {
        command.env("NOTIFY_SOCKET", &path);
    })
    .await;
    assert_eq!(received(), "READY=1\n");
    serving.signal("HUP");
    let reloading = received();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(received(), "READY=1\n");
    serving.signal("TERM");
    assert_eq!(received(), "STOPPING=1\n");
    std::fs::remove_dir_all(&folder).unwrap();
}
