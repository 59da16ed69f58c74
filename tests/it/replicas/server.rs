//! A real `redis-server` for one test: on a loopback port, in a temporary directory, without persistence.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo as _, RedisResult, TlsCertificates,
    Value,
};
use switchboard::replicas::settings::ReplicaSettings;
use tokio::time::Instant;

/// A running server. It ends when the test ends in any way.
pub(crate) struct RedisServer {
    directory: Directory,
    port: u16,
    is_tls: bool,
    password: &'static str,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl RedisServer {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut server = Self::stopped(arguments);
        server.run().await;
        server
    }

    /// Starts with a password (`--requirepass`).
    pub(crate) async fn start_with_password(password: &'static str) -> Self {
        let mut server = Self::stopped(&["--requirepass", password]);
        server.password = password;
        server.run().await;
        server
    }

    /// Starts with TLS only, and a certificate for 127.0.0.1 and localhost signed by [`Self::ca_file`].
    pub(crate) async fn start_with_tls() -> Self {
        let mut server = Self::stopped(&[]);
        server.is_tls = true;
        server.directory.make_certificates();
        server.run().await;
        server
    }

    /// A server that does not run yet and whose port is free.
    pub(crate) fn stopped(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let directory = Directory::new();
        Self { directory, port: free_port(), is_tls: false, password: "", arguments, process: None }
    }

    /// Starts the process and waits for the response to PING.
    pub(crate) async fn run(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command
            .current_dir(&self.directory.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "."]);
        if self.is_tls {
            command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
            command.args(["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"]);
            command.args(["--tls-ca-cert-file", "ca.pem"]);
        } else {
            command.args(["--port", &port]);
        }
        let started = command.args(&self.arguments).spawn();
        let process = started.expect("these tests need redis-server: install it (Debian: redis-server)");
        self.process = Some(process);
        loop {
            if self.answers().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "redis-server has ended: {ended:?}");
        }
    }

    async fn answers(&self) -> bool {
        let Ok(mut connection) = self.connect().await else { return false };
        redis::cmd("PING").exec_async(&mut connection).await.is_ok()
    }

    /// Kills the process and loses its data. [`Self::run`] starts it again on the same port.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops responding, with connections open, until [`Self::go_on`].
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn unfreeze(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Runs a command over a new connection.
    pub(crate) async fn command(&self, words: &[&str]) -> Value {
        let mut connection = self.connect().await.unwrap();
        let (name, arguments) = words.split_first().unwrap();
        redis::cmd(name).arg(arguments).query_async(&mut connection).await.unwrap()
    }

    /// Changes the password. Existing clients must authenticate again.
    pub(crate) async fn change_password(&mut self, password: &'static str) {
        self.command(&["CONFIG", "SET", "requirepass", password]).await;
        self.password = password;
        self.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        self.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn ca_file(&self) -> String {
        self.directory.0.join("ca.pem").to_str().unwrap().to_owned()
    }

    /// Settings for this server, with timeouts long enough for a busy machine.
    pub(crate) fn settings(&self) -> ReplicaSettings {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        ReplicaSettings {
            url: format!("{scheme}://127.0.0.1:{}", self.port),
            username: String::new(),
            password: self.password.into(),
            ca_file: if self.is_tls { self.ca_file() } else { String::new() },
            key_prefix: "test".to_owned(),
            timeout_ms: 10_000,
            claim_ms: 1_000,
            wait_ms: 5_000,
        }
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let patience = Some(Duration::from_secs(30));
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(patience).set_response_timeout(patience);
        self.client().get_multiplexed_async_connection_with_config(&config).await
    }

    fn client(&self) -> Client {
        let connection: ConnectionInfo = self.settings().url.into_connection_info().unwrap();
        let mut sign_in = connection.redis_settings().clone();
        if !self.password.is_empty() {
            sign_in = sign_in.set_password(self.password);
        }
        let connection = connection.set_redis_settings(sign_in);
        if self.is_tls {
            let root_cert = Some(fs::read(self.ca_file()).unwrap());
            return Client::build_with_tls(connection, TlsCertificates { client_tls: None, root_cert })
                .unwrap();
        }
        Client::open(connection).unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until a condition holds that another process brings about.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: it never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A port that was free just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A temporary directory of one test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("switchboard-redis-{}-{count}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn make_certificates(&self) {
        fs::write(self.0.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        for line in [
            format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=tests -days 2"),
            format!("req {key} -keyout key.pem -out asked.pem -subj /CN=localhost"),
            "x509 -req -in asked.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names"
                .to_owned(),
        ] {
            let mut command = Command::new("openssl");
            let made = command.args(line.split(' ')).current_dir(&self.0).output();
            let made = made.expect("these tests need openssl: install it (Debian: openssl)");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}
