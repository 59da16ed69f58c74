//! One connection to the server, shared by all commands, and another in its place when it is of no use.
//!
//! It is of no use when it broke, when nothing came back on it for [`LIFELESS`] (the other end may be gone without a word), or when
//! the server said that it may no longer be written to: a name then leads to another one mostly. The next command connects
//! anew. Connecting is a task of its own that goes on without those who wait for it; how often it is tried is up to whoever asks,
//! which is the sign of life that [`away`](super::super::away) asks for.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, RedisError,
    RedisResult, ServerErrorKind, TlsCertificates,
};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout};

use super::super::settings::ReplicaSettings;
use super::super::store::StoreError;

/// How long connecting may take, with TLS and signing in.
const CONNECTED_WITHIN: Duration = Duration::from_secs(2);

/// After how long without an answer a connection is taken for dead. Callers have given up long before.
const LIFELESS: Duration = Duration::from_secs(2);

/// How old a connection is at least that is left because the server takes no writes.
const LEFT_AFTER: Duration = Duration::from_secs(1);

/// Why there can be no store of some settings. Says nothing of them, as a URL can hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The URL is none of a server.
    #[error("the URL is none of a server")]
    Url,
    /// The file of certificates cannot be read, or holds none.
    #[error("the file of certificates cannot be used")]
    Certificates,
}

/// How the server of these settings is reached.
pub(super) fn client(settings: &ReplicaSettings) -> Result<Client, Unfit> {
    let told: ConnectionInfo = settings.url.as_str().into_connection_info().map_err(|_| Unfit::Url)?;
    let mut sign_in =
        told.redis_settings().clone().set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let password = settings.password.expose_secret();
    if !password.is_empty() {
        sign_in = sign_in.set_password(password);
    }
    if !settings.username.is_empty() {
        sign_in = sign_in.set_username(&settings.username);
    }
    let told = told.set_redis_settings(sign_in).set_tcp_settings(TcpSettings::default().set_nodelay(true));
    if settings.ca_file.is_empty() {
        return Client::open(told).map_err(|_| Unfit::Url);
    }
    let root_cert = Some(fs::read(&settings.ca_file).map_err(|_| Unfit::Certificates)?);
    let certificates = TlsCertificates { client_tls: None, root_cert };
    Client::build_with_tls(told, certificates).map_err(|_| Unfit::Certificates)
}

/// Bounds what is done on a connection of one's own.
pub(super) async fn in_time<T>(connected: impl Future<Output = RedisResult<T>>) -> Result<T, StoreError> {
    match timeout(CONNECTED_WITHIN, connected).await {
        Ok(connected) => connected.map_err(|error| failure(&error)),
        Err(_elapsed) => Err(StoreError::Unreachable),
    }
}

/// What an error means for whoever asked.
pub(super) fn failure(error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::AuthenticationFailed => StoreError::LockedOut,
        _ if is_locked_out(error) => StoreError::LockedOut,
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType => StoreError::Refused,
        _ => StoreError::Unreachable,
    }
}

/// Nothing is answered without a password.
pub(super) fn is_locked_out(error: &RedisError) -> bool {
    let errors = error.clone().into_server_errors();
    errors.is_some_and(|errors| errors.iter().any(|(_, error)| error.code() == "NOAUTH"))
}

type Connecting = Shared<BoxFuture<'static, Result<MultiplexedConnection, StoreError>>>;

/// The connection as it comes and goes.
pub(super) struct Line {
    client: Client,
    current: Mutex<Option<(Connecting, Instant)>>,
}

impl Line {
    pub(super) fn new(client: Client) -> Self {
        Self { client, current: Mutex::new(None) }
    }

    /// Runs a command on the connection, and leaves that one where it is of no use any more.
    pub(super) async fn run<T, F>(
        &self,
        command: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let (connecting, since) = self.current();
        let answered = match connecting.clone().await {
            Ok(connection) => command(connection).await,
            Err(failure) => {
                self.leave(&connecting);
                return Err(failure);
            }
        };
        answered.map_err(|error| {
            let failure = failure(&error);
            let takes_no_writes = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
            let has_ended = matches!(failure, StoreError::Unreachable | StoreError::LockedOut);
            if has_ended || takes_no_writes && since.elapsed() >= LEFT_AFTER {
                self.leave(&connecting);
            }
            failure
        })
    }

    fn current(&self) -> (Connecting, Instant) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.get_or_insert_with(|| (connect(self.client.clone()), Instant::now())).clone()
    }

    /// Another may have left it already, and be connecting anew.
    fn leave(&self, left: &Connecting) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|(connecting, _)| connecting.ptr_eq(left)) {
            *current = None;
        }
    }
}

fn connect(client: Client) -> Connecting {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECTED_WITHIN))
        .set_response_timeout(Some(LIFELESS));
    let connecting = async move {
        let connected = client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(|error| match failure(&error) {
            StoreError::LockedOut => StoreError::LockedOut,
            // Whatever else it is: there is no connection.
            StoreError::Unreachable | StoreError::Refused => StoreError::Unreachable,
        })
    }
    .boxed()
    .shared();
    tokio::spawn(connecting.clone());
    connecting
}
