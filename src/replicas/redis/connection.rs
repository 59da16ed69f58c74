//! One connection to the server, shared by all commands and replaced when it becomes unusable.
//!
//! A connection is unusable if it broke, if nothing was received on it for [`CONNECTION_TIMEOUT`] (the peer may be gone
//! without closing it), or if the server has become read-only: after a failover, the server's name usually leads to the
//! new primary. The next command then connects again. Connecting runs in its own task and continues if its callers time
//! out. The pings of [`availability`](super::super::availability) limit its rate.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::time::{Instant, timeout};

use super::super::store::StoreError;
use super::server::Server;

/// Timeout of connecting, including TLS and authentication. A connection without a response for this time is dead,
/// because callers time out much earlier.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// Minimum age of a connection that is replaced because the server is read-only.
const READ_ONLY_AGE_MIN: Duration = Duration::from_secs(1);

/// Runs a future within the connection timeout.
pub(super) async fn within_timeout<T>(
    command: impl Future<Output = RedisResult<T>>,
) -> Result<T, StoreError> {
    match timeout(CONNECTION_TIMEOUT, command).await {
        Ok(result) => result.map_err(|error| failure(&error)),
        Err(_elapsed) => Err(StoreError::Unreachable),
    }
}

/// Maps an error of the client library.
pub(super) fn failure(error: &RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::AuthenticationFailed => StoreError::Unauthenticated,
        _ if is_unauthenticated(error) => StoreError::Unauthenticated,
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType => StoreError::Refused,
        _ => StoreError::Unreachable,
    }
}

/// Whether the server requires a password and none was sent.
pub(super) fn is_unauthenticated(error: &RedisError) -> bool {
    let errors = error.clone().into_server_errors();
    errors.is_some_and(|errors| errors.iter().any(|(_, error)| error.code() == "NOAUTH"))
}

type Connecting = Shared<BoxFuture<'static, Result<MultiplexedConnection, StoreError>>>;

/// The current connection, if there is one.
pub(super) struct SharedConnection {
    server: Server,
    current: Mutex<Option<(Connecting, Instant)>>,
}

impl SharedConnection {
    pub(super) fn new(server: Server) -> Self {
        Self { server, current: Mutex::new(None) }
    }

    /// Runs a command, and discards the connection if the result shows that it is unusable.
    pub(super) async fn run<T, F>(
        &self,
        command: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let (connecting, since) = self.current();
        let result = match connecting.clone().await {
            Ok(connection) => command(connection).await,
            Err(failure) => {
                self.discard(&connecting);
                return Err(failure);
            }
        };
        result.map_err(|error| {
            let failure = failure(&error);
            let is_read_only = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
            let is_broken = matches!(failure, StoreError::Unreachable | StoreError::Unauthenticated);
            if is_broken || is_read_only && since.elapsed() >= READ_ONLY_AGE_MIN {
                self.discard(&connecting);
            }
            failure
        })
    }

    fn current(&self) -> (Connecting, Instant) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.get_or_insert_with(|| (connect(self.server.clone()), Instant::now())).clone()
    }

    /// Discards a connection, unless it was replaced already.
    fn discard(&self, unusable: &Connecting) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|(connecting, _)| connecting.ptr_eq(unusable)) {
            *current = None;
        }
    }
}

fn connect(server: Server) -> Connecting {
    let connecting = async move {
        let connection = server.connect(CONNECTION_TIMEOUT).await;
        connection.map_err(|error| match failure(&error) {
            StoreError::Unauthenticated => StoreError::Unauthenticated,
            // An error response to the handshake means that there is no connection.
            StoreError::Unreachable | StoreError::Refused => StoreError::Unreachable,
        })
    }
    .boxed()
    .shared();
    tokio::spawn(connecting.clone());
    connecting
}
