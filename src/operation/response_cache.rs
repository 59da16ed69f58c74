//! The cache of whole responses, above execution: a repeated query costs one look-up and is neither parsed nor
//! executed.
//!
//! A response changes in one of two ways. By time: its [`Freshness::changes_at`]. Or because data that it depends on was
//! fetched, invalidated or evicted, or a fetch failed: then its [`Revision`] differs. A response is cached only if nothing
//! that it depends on was fetched during its execution, and served only while neither has changed. So it equals, byte for
//! byte, what execution would return at that moment. The first response, whose parts had to be fetched, is therefore not
//! cached, and the second is.
//!
//! The cache below records the [`Dependencies`], because it sees every read. One revision of the whole tenant was simpler, but
//! under memory pressure each eviction ended all responses of a tenant.
//!
//! Equal requests at the same time share one execution.

use std::sync::Arc;

use bytes::Bytes;
use tracing::{Instrument as _, Span};

use super::request::OperationRequest;
use super::response::{OperationResponse, Outcome};
use crate::domain::caller::{Caller, TenantFingerprints};
use crate::domain::clock::{Clock, ClockJumps};
use crate::domain::view::View;
use crate::loaders::cache::bounded_map::BoundedMap;
use crate::loaders::cache::dependencies::{self, Dependencies};
use crate::loaders::cache::freshness::Freshness;
use crate::loaders::cache::freshness::ValueSource;
use crate::loaders::cache::single_flight::SingleFlight;
use crate::loaders::cache::upstream_cache::Revision;
use crate::telemetry::requests::Made;

/// Root fields whose answers are of the moment, or of the one who asks.
const NEVER_KEPT: [&str; 2] = ["upstreams", "viewer"];

/// The approximate memory of an entry beside its texts, in bytes.
const ENTRY_BYTES: usize = 640;

/// Whether answers with such root fields may be kept, and shared by those who ask at once.
pub(super) fn is_shareable<'f>(mut root_fields: impl Iterator<Item = &'f str>) -> bool {
    root_fields.all(|name| !NEVER_KEPT.contains(&name))
}

/// The identity of a response: the caller and the request, compared completely.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct ResponseKey {
    tenant: TenantFingerprints,
    view: View,
    document: Arc<str>,
    operation_name: Option<Box<str>>,
    /// As JSON: decoded, a value weighs many times its text. Who orders them otherwise asks something else.
    variables: Box<str>,
}

impl ResponseKey {
    /// The question of a caller's request; none where its variables cannot be written.
    pub(super) fn of(document: &Arc<str>, request: &OperationRequest, caller: &Caller) -> Option<Self> {
        let variables = match request.variables.is_empty() {
            true => String::new(),
            false => serde_json::to_string(&request.variables).ok()?,
        };
        Some(Self {
            tenant: caller.tenant.fingerprints(),
            view: caller.view(),
            document: Arc::clone(document),
            operation_name: request.operation_name.as_deref().map(Into::into),
            variables: variables.into(),
        })
    }

    pub(super) fn weight_bytes(&self) -> usize {
        let name = self.operation_name.as_deref().map_or(0, str::len);
        let member = self.view.member().map_or(0, |id| id.as_str().len());
        self.document.len() + name + self.variables.len() + member
    }
}

/// A kept answer, and how long it is good for.
struct CachedResponse {
    answer: OperationResponse,
    /// None where nothing was read for it; it may still say that nothing is known, which holds while the revision does.
    made_of: Option<Freshness>,
    depends_on: Dependencies,
    made_in: Revision,
    /// A jump of the clock changes the times in a response.
    jumps: ClockJumps,
}

/// The answers that are kept, and those that are being made.
pub(super) struct ResponseCache {
    clock: Clock,
    kept: BoundedMap<Arc<ResponseKey>, Arc<CachedResponse>>,
    /// With the epochs in which each began: what began before a drop is not given to those who ask after it.
    flights: SingleFlight<(Arc<ResponseKey>, (u64, u64)), OperationResponse>,
}

impl ResponseCache {
    /// ResponseCache that weigh at most `limit_bytes`.
    pub(super) fn new(limit_bytes: u64, clock: Clock) -> Self {
        let weigh = |question: &Arc<ResponseKey>, finished: &Arc<CachedResponse>| {
            ENTRY_BYTES + question.weight_bytes() + finished.answer.body.len()
        };
        Self {
            clock,
            kept: BoundedMap::new(limit_bytes, weigh),
            flights: SingleFlight::new(|_| OperationResponse::crashed()),
        }
    }

    /// Keeps none of those that are finished.
    pub(super) fn clear(&self) {
        self.kept.clear();
    }

    /// The weight of the cached responses, and its limit.
    pub(super) fn weight_and_limit_bytes(&self) -> (u64, u64) {
        (self.kept.weight_bytes(), self.kept.limit_bytes())
    }

    /// All that is kept: whose and what for, and the answers' bytes.
    pub(super) fn dump(&self) -> Vec<(String, Bytes)> {
        let one = |(question, finished): (Arc<Arc<ResponseKey>>, Arc<CachedResponse>)| {
            let ResponseKey { tenant, view, document, variables, .. } = &**question;
            let question = format!("{tenant:?} {view:?} {document} {variables}");
            (question, finished.answer.body.clone())
        };
        self.kept.all().into_iter().map(one).collect()
    }

    /// The cached response, if it still is what execution would return; `revision` returns the current revision of the caller's
    /// data.
    pub(super) fn look(
        &self,
        question: &ResponseKey,
        revision: impl FnOnce(Dependencies) -> Revision,
    ) -> Option<OperationResponse> {
        let finished = self.kept.get(question)?;
        let is_in_time = finished.made_of.is_none_or(|parts| self.clock.instant_now() < parts.changes_at);
        let has_jumped = finished.jumps != self.clock.jumps();
        let is_good = is_in_time && !has_jumped && finished.made_in == revision(finished.depends_on);
        is_good.then(|| finished.answer.clone())
    }

    /// Joins an execution of an equal request that is in progress, or starts this one, and returns which of both.
    /// An execution returns its response and the freshness of its parts.
    pub(super) async fn get(
        self: &Arc<Self>,
        question: Arc<ResponseKey>,
        revision: impl Fn(Dependencies) -> Revision + Clone + Send + 'static,
        execution: impl Future<Output = (OperationResponse, Option<Freshness>)> + Send + 'static,
    ) -> (OperationResponse, ValueSource) {
        let landed = || self.look(&question, revision.clone());
        let (answers, key, revised) = (Arc::clone(self), Arc::clone(&question), revision.clone());
        let flight = async move {
            let (before, jumps) = (revised(Dependencies::ALL), answers.clock.jumps());
            let ((answer, parts), depends_on) = dependencies::recorded(execution).await;
            let is_whole = answer.outcome == (Outcome::Executed { whole: true });
            let made_in = revised(depends_on);
            // One that had no time to wait shows what is old, and the next that has waits for what is newer.
            if is_whole && !answer.is_late && made_in.is_unchanged_since(&before) {
                let answer = answer.to_cached();
                answers.keep(key, CachedResponse { answer, made_of: parts, depends_on, made_in, jumps });
            }
            answer
        };
        let key = (Arc::clone(&question), revision(Dependencies::default()).epochs());
        let (mut answer, got) = self.flights.join(key, landed, flight.instrument(Span::current())).await;
        if got == ValueSource::Joined {
            answer.origin = answer.origin.shared(Made::Joined);
        }
        (answer, got)
    }

    fn keep(&self, question: Arc<ResponseKey>, response: CachedResponse) {
        if response.made_of.is_none_or(|parts| self.clock.instant_now() < parts.changes_at) {
            self.kept.insert(question, Arc::new(response));
        }
    }
}
