//! The sandbox on a socket: `switchboard sandbox`.

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;

use super::{Clock, Sandbox, Settings};

/// Listens on `address`, prints one line that says where, and serves until `shutdown`.
///
/// # Errors
///
/// The address cannot be listened on; the message names it.
pub async fn run(
    address: SocketAddr,
    settings: Settings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(named)?;
    let bound = listener.local_addr().map_err(named)?;
    let sandbox = Sandbox::new(settings, Clock::system());
    let mut out = io::stdout().lock();
    writeln!(out, "sandbox listening on http://{bound}")?;
    out.flush()?;
    drop(out);
    serve(listener, sandbox.router(), shutdown).await
}

/// Serves `router` until `shutdown`, then lets what is under way finish.
///
/// # Errors
///
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}
