//! A listener, from its first connection to its graceful end.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long running requests may take once the end is asked for: under the 30 seconds after which orchestrators
/// kill.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until `shutdown` completes; then takes no more connections, and ends when the running requests are
/// answered, or after ten seconds.
///
/// # Errors
/// Where the listener fails for good; single connections that fail are not its errors.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (asked, ending) = oneshot::channel();
    let shutdown = async move {
        shutdown.await;
        // Its receiver is gone only where serving has ended already.
        let _ = asked.send(());
    };
    // Answers are written in one piece: waiting for more to send (Nagle) only delays them.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown).into_future();
    let overdue = async {
        if ending.await.is_ok() {
            tokio::time::sleep(GRACE).await;
        } else {
            std::future::pending().await
        }
    };
    tokio::select! {
        ended = serving => ended,
        () = overdue => {
            tracing::warn!("some requests were still running ten seconds after the end was asked for: they are cut off");
            Ok(())
        }
    }
}
