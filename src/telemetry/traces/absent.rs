//! Traces in a program that was built without them: every word means nothing.

use http::{HeaderMap, Request};

use super::settings::{BadHeaders, TraceSettings};
use super::{Fact, Post};
use crate::domain::upstream_name::UpstreamName;

/// What would trace requests.
#[derive(Debug)]
pub struct Traces;

impl Traces {
    /// Does nothing: a configuration that wants traces was refused.
    ///
    /// # Errors
    /// None.
    pub fn start(_: &TraceSettings, _: Post) -> Result<Self, BadHeaders> {
        Ok(Self)
    }

    /// What requests would begin traces with.
    #[must_use]
    pub fn root(&self) -> Root {
        Root
    }

    /// Ends nothing.
    pub async fn end(self) {}
}

/// What requests would begin traces with.
#[derive(Debug, Clone)]
pub struct Root;

impl Root {
    pub(crate) fn request(&self, _: &str, _: Option<&str>, _: &HeaderMap) -> Open {
        Open
    }
}

pub(crate) struct Open;

impl Open {
    pub(crate) fn batch(_: &'static str, _: usize) -> Self {
        Self
    }

    pub(crate) fn call(_: UpstreamName, _: u32) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "it has one where there are traces")]
    pub(crate) fn around<F: Future>(&self, future: F) -> F {
        future
    }

    #[expect(clippy::unused_self, reason = "it has one where there are traces")]
    pub(crate) fn note(&self, _: Fact<'_>) {}

    #[expect(clippy::unused_self, reason = "it has one where there are traces")]
    pub(crate) fn tell(&self, _: &mut Request<bytes::Bytes>) {}
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Origin;

impl Origin {
    pub(crate) fn here() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "it has one where there are traces")]
    pub(crate) fn message(&self) -> Open {
        Open
    }

    #[expect(clippy::unused_self, reason = "it has one where there are traces")]
    pub(crate) fn event(&self, _: Option<&str>) -> Open {
        Open
    }

    #[expect(clippy::unused_self, reason = "it has one where there are traces")]
    pub(crate) fn look(&self, _: UpstreamName) -> Open {
        Open
    }
}

pub(crate) fn are_on() -> bool {
    false
}

pub(crate) fn carried<F: Future>(future: F) -> F {
    future
}

pub(crate) fn note(_: Fact<'_>) {}

pub(crate) fn joined(_: &Origin) {}
