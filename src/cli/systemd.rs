//! Notifications to systemd (`Type=notify`, sd_notify(3)), so that `systemctl start`, `reload` and `stop` report the
//! actual state.
//!
//! Without `NOTIFY_SOCKET` in the environment, nothing is sent.

use sd_notify::NotifyState;

/// Reports that both listeners accept connections, or that a reload has ended.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Reports that a reload has begun.
pub(super) fn reloading() {
    let now = NotifyState::monotonic_usec_now().ok();
    let states: Vec<_> = [NotifyState::Reloading].into_iter().chain(now).collect();
    notify(&states);
}

/// Reports that shutdown has begun.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot notify systemd");
    }
}
