//! The bodies of requests: how they are declared, how long they are, how long they take, and how much all of them hold.
//!
//! A body that drips holds what has come of it. So there is one room for the bytes of all bodies, and whoever finds it full is
//! told to come again; a limit for each alone would be multiplied by the number of connections.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::HttpError;
use super::media;
use super::settings::HttpSettings;

const ROOM_IS_FULL: &str = "Too many requests are being read at the moment: send it again a little later.";

/// The room for bodies.
pub(crate) struct Bodies {
    limit: usize,
    timeout_ms: u64,
    room: Arc<Semaphore>,
}

/// A body, and its place in the room for as long as it is kept.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    pub(crate) bytes: Vec<u8>,
    place: Option<OwnedSemaphorePermit>,
}

impl Whole {
    /// Its place alone, for what was made of its bytes and is kept longer.
    pub(crate) fn into_place(self) -> Option<OwnedSemaphorePermit> {
        self.place
    }
}

impl Bodies {
    pub(crate) fn new(settings: &HttpSettings) -> Self {
        let room = settings.bodies_limit_bytes.min(Semaphore::MAX_PERMITS);
        Self {
            limit: settings.body_limit_bytes,
            timeout_ms: settings.body_timeout_ms,
            room: Arc::new(Semaphore::new(room)),
        }
    }

    /// The same room, under other settings: how large it is stays.
    pub(crate) fn within(&self, settings: &HttpSettings) -> Self {
        Self { room: Arc::clone(&self.room), ..Self::new(settings) }
    }

    /// The bytes of a POST, as far as they are declared to be JSON, stay under the limit and come in time.
    pub(crate) async fn json(&self, headers: &HeaderMap, body: Body) -> Result<Whole, HttpError> {
        if !media::is_json(headers) {
            return Err(HttpError::unsupported(
                "A POST must be declared `Content-Type: application/json`, in UTF-8.",
            ));
        }
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(HttpError::unsupported(
                "Request bodies are taken as they are, without `Content-Encoding`.",
            ));
        }
        let declared =
            headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > self.limit)) {
            return Err(HttpError::body_too_large(self.limit));
        }
        let time = Duration::from_millis(self.timeout_ms);
        match tokio::time::timeout(time, self.read(body)).await {
            Ok(read) => read,
            Err(_) => Err(HttpError::body_too_slow(self.timeout_ms)),
        }
    }

    async fn read(&self, body: Body) -> Result<Whole, HttpError> {
        let mut body = Limited::new(body, self.limit);
        let mut whole = Whole::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
                true => HttpError::body_too_large(self.limit),
                false => HttpError::unread_body(),
            })?;
            if let Ok(bytes) = frame.into_data() {
                self.hold(&mut whole, bytes.len())?;
                whole.bytes.extend_from_slice(&bytes);
            }
        }
        Ok(whole)
    }

    /// A place for so many bytes that came another way.
    pub(crate) fn place(&self, bytes: usize) -> Result<OwnedSemaphorePermit, HttpError> {
        let mut whole = Whole::default();
        self.hold(&mut whole, bytes)?;
        whole.place.ok_or_else(|| HttpError::overloaded(ROOM_IS_FULL))
    }

    fn hold(&self, whole: &mut Whole, bytes: usize) -> Result<(), HttpError> {
        let full = || HttpError::overloaded(ROOM_IS_FULL);
        let bytes = u32::try_from(bytes).map_err(|_| full())?;
        let more = Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| full())?;
        match &mut whole.place {
            Some(place) => place.merge(more),
            place => *place = Some(more),
        }
        Ok(())
    }
}
