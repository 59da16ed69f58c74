//! What an answer that goes on has to know of the connection below it: when its time is up, and how long its peer may take to
//! take something.
//!
//! It travels in the request's extensions. Whoever holds one is waited for at the end, also over a WebSocket, which its
//! connection has let go of by then.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Extensions;
use tokio::sync::watch;

use super::pulse::Pulse;

/// Whether connections go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// They do.
    Serve,
    /// They end when what is under way is answered.
    Finish,
    /// They end.
    Cut,
}

/// How long an answer may go on.
#[derive(Debug, Clone)]
pub(crate) struct Tenure {
    /// None where nobody ends it: in a router that something else serves.
    connection: Option<(watch::Receiver<Course>, Arc<Pulse>)>,
    write: Duration,
}

impl Tenure {
    pub(crate) fn new(course: watch::Receiver<Course>, pulse: Arc<Pulse>, write: Duration) -> Self {
        Self { connection: Some((course, pulse)), write }
    }

    /// The one of the connection that a request came by.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or(Self { connection: None, write: Duration::MAX })
    }

    /// How long the peer may take to take something.
    pub(crate) fn write(&self) -> Duration {
        self.write
    }

    /// Has the connection ended, as its peer did not take something in time.
    pub(crate) fn give_up(&self) {
        if let Some((_, pulse)) = &self.connection {
            pulse.give_up();
        }
    }

    /// Whether there is no time left.
    pub(crate) fn was_cut(&self) -> bool {
        self.connection.as_ref().is_some_and(|(course, _)| *course.borrow() == Course::Cut)
    }

    /// Waits until it is to come to its end.
    pub(crate) async fn ends(&mut self) {
        self.until(|course| course != Course::Serve).await;
    }

    /// Waits until there is no time left.
    pub(crate) async fn is_cut(&mut self) {
        self.until(|course| course == Course::Cut).await;
    }

    async fn until(&mut self, is_come: impl Fn(Course) -> bool) {
        match &mut self.connection {
            // Nobody is left to say when: then it is now.
            Some((course, _)) => drop(course.wait_for(|course| is_come(*course)).await),
            None => std::future::pending().await,
        }
    }
}
