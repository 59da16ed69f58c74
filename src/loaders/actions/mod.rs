//! Actions on connected accounts: the writes of the graph, with their checks, invalidations and audit lines.
//!
//! [`AccountActions::run`] is the entry point. It checks settings and role, reads the account as the caller sees it,
//! and sends exactly one write. Afterwards it expires the tenant's accounts on all replicas, as a webhook does. If
//! Composio does not confirm a write, the account is read again to find out whether the write took effect ([ADR
//! 20](../../../docs/adr/0020-actions.md)).
//!
//! An action runs in its own task, so that a client that disconnects interrupts neither the write nor the steps after
//! it.

mod in_flight;
pub mod outcome;
mod rate;
pub mod request;
pub mod settings;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use url::Url;

use self::in_flight::{InFlight, WritePermit};
use self::outcome::{ActionError, ActionRefusal, ActionResult, in_progress, not_found, refusal, unknown};
use self::rate::ActionRate;
use self::request::{ActionRequest, LinkOptions, user_id_required};
use self::settings::ActionSettings;
use super::cache::freshness::FreshnessState;
use super::data_sources::DataSources;
use super::lists::scan::Reader;
use super::stats::OperationStats;
use crate::domain::accounts::SharedAccount;
use crate::domain::actions::{Action, ConnectLink, UserError, UserErrorCode};
use crate::domain::caller::Caller;
use crate::domain::change::ChangeCause;
use crate::domain::upstream_name::UpstreamName;
use crate::domain::view::View;
use crate::domain::web_url::is_safe_for_browsers;
use crate::replicas::Replicas;
use crate::telemetry::audit::{ActionCounts, ActionOutcome, AuditRecord};
use crate::telemetry::metrics::readings::Readings;
use crate::telemetry::request_scope;
use crate::upstream::account_writes::LinkRequest;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// Longest wait until other replicas have received the invalidation after a write.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// The actions of all callers. Cheap to clone.
#[derive(Clone)]
pub struct AccountActions {
    settings: Arc<ActionSettings>,
    state: Arc<State>,
}

struct State {
    in_flight: InFlight,
    rate: ActionRate,
    counts: ActionCounts,
}

/// The operation that an action belongs to.
#[derive(Clone)]
pub struct ActionContext {
    /// The shared data sources.
    pub sources: Arc<DataSources>,
    /// The caller.
    pub caller: Caller,
    /// Statistics and deadline of the operation.
    pub stats: Arc<OperationStats>,
}

impl AccountActions {
    /// Creates actions with their settings. With other replicas, an account has one write at a time over all of them.
    #[must_use]
    pub fn new(settings: ActionSettings, replicas: Option<Replicas>) -> Self {
        let state = State {
            in_flight: InFlight::new(replicas),
            rate: ActionRate::default(),
            counts: ActionCounts::default(),
        };
        Self { settings: Arc::new(settings), state: Arc::new(state) }
    }

    /// Returns the same actions with other settings; writes in flight, rates and counts continue.
    #[must_use]
    pub fn with_settings(&self, settings: ActionSettings) -> Self {
        Self { settings: Arc::new(settings), state: Arc::clone(&self.state) }
    }

    /// Adds the metrics of all actions.
    pub fn read_metrics(&self, readings: &mut Readings) {
        self.state.counts.read(readings);
    }

    /// Returns the actions that a caller may take.
    #[must_use]
    pub fn allowed(&self, caller: &Caller) -> Vec<Action> {
        let view = caller.view();
        Action::ALL.iter().copied().filter(|action| self.check_permission(&view, *action).is_ok()).collect()
    }

    fn check_permission(&self, view: &View, action: Action) -> Result<(), ActionRefusal> {
        if !self.settings.enabled {
            return Err(ActionRefusal::Disabled);
        }
        if !view.is_full() && !self.settings.member.contains(action) {
            return Err(ActionRefusal::NotAllowed(action));
        }
        Ok(())
    }

    /// Runs an action and records it in the audit log.
    ///
    /// # Errors
    /// If the action is not allowed, if the user has to correct something, or if Composio could not be reached.
    pub async fn run(
        &self,
        context: ActionContext,
        request: ActionRequest,
    ) -> Result<ActionResult, ActionError> {
        let (stats, late_request) = (Arc::clone(&context.stats), request.clone());
        let started = async {
            let (actions, context, request) = (self.clone(), context.clone(), request);
            let task = async move {
                let record = request.clone();
                let performed = AssertUnwindSafe(actions.perform(&context, request)).catch_unwind().await;
                let result = performed.unwrap_or_else(|_panic| Err(internal().into()));
                actions.audit(&context.caller, &record, &result);
                result
            };
            request_scope::spawn(task).await
        };
        match stats.deadline.wait(UpstreamName::Composio, started).await {
            Ok(Ok(result)) => result,
            Ok(Err(_cancelled)) => Err(internal().into()),
            // The deadline had passed before the start, so nothing was sent.
            Err(late) if late.failure == UpstreamFailure::DeadlineExceeded => {
                let result = Err(late.into());
                self.audit(&context.caller, &late_request, &result);
                result
            }
            // The task continues, and records the outcome.
            Err(_late) => Err(unknown(&late_request, None).into()),
        }
    }

    fn audit(&self, caller: &Caller, request: &ActionRequest, result: &Result<ActionResult, ActionError>) {
        let outcome = match result {
            Ok(_) => ActionOutcome::Ok,
            Err(error) if error.is_unknown() => ActionOutcome::Unknown,
            Err(error) if error.is_refusal() => ActionOutcome::Refused,
            Err(_) => ActionOutcome::Failed,
        };
        let account = request.account();
        let new_account = result.as_ref().ok().filter(|result| result.link.is_some());
        let record = AuditRecord {
            caller,
            action: request.action(),
            account: account.as_deref(),
            new_account: new_account.and_then(|result| result.account.as_deref()),
            outcome,
            code: result.as_ref().err().map(ActionError::code),
        };
        self.state.counts.record(&record);
    }

    async fn perform(
        &self,
        context: &ActionContext,
        mut request: ActionRequest,
    ) -> Result<ActionResult, ActionError> {
        let (caller, view) = (&context.caller, context.caller.view());
        self.check_permission(&view, request.action())?;
        request.check(&self.settings, &view)?;
        let Some(credential) = caller.tenant.composio.clone() else {
            return Err(UpstreamError::no_credential(UpstreamName::Composio).into());
        };
        self.state.rate.record(caller, self.settings.per_minute).map_err(ActionRefusal::TooMany)?;
        let reader = Reader { credential, view, stats: Arc::clone(&context.stats), is_prefetch: false };
        Write { actions: self, context, reader, request }.run().await
    }
}

fn internal() -> UpstreamError {
    UpstreamError::new(UpstreamName::Composio, UpstreamFailure::Internal)
}

/// One write, after all checks that need no upstream.
struct Write<'a> {
    actions: &'a AccountActions,
    context: &'a ActionContext,
    reader: Reader,
    request: ActionRequest,
}

impl Write<'_> {
    async fn run(self) -> Result<ActionResult, ActionError> {
        match self.request.account() {
            None => self.connect().await,
            Some(id) => {
                // Before the permit: for an account that the caller may not see, the error does not depend on writes in
                // flight.
                let account = self.find(&id).await?.0;
                let permit = self.permit(&id).await?;
                let result = self.change(&id, account).await;
                permit.release().await;
                result
            }
        }
    }

    async fn permit(&self, target: &str) -> Result<WritePermit, ActionError> {
        let permit = self.actions.state.in_flight.acquire(&self.reader.credential, target).await;
        permit.ok_or_else(|| in_progress().into())
    }

    async fn connect(&self) -> Result<ActionResult, ActionError> {
        let ActionRequest::Connect { auth_config_id, options } = &self.request else {
            return Err(internal().into());
        };
        let user_id = options.user_id.as_deref().unwrap_or_default();
        // The permit prevents a repeated click from creating a second account.
        let permit = self.permit(&format!("connect {auth_config_id} {user_id}")).await?;
        let result = self.request_link(auth_config_id, user_id, options, None).await;
        permit.release().await;
        result
    }

    async fn change(&self, id: &str, account: SharedAccount) -> Result<ActionResult, ActionError> {
        if let ActionRequest::Reconnect { options, .. } = &self.request {
            return self.reconnect(id, &account, options).await;
        }
        if let Some(error) = self.request.already_applied()
            && self.request.is_applied(Some(&account))
        {
            // The cached account may be outdated.
            self.expire().await;
            let (account, is_current) = self.find(id).await?;
            if is_current && self.request.is_applied(Some(&account)) {
                return Err(error.with_account(id).into());
            }
        }
        let (client, credential) = (&self.context.sources.lists.fetcher.client, &self.reader.credential);
        let (mut revoked_tokens, started_at) = (None, Instant::now());
        let written = match &self.request {
            ActionRequest::SetEnabled { enabled, .. } => client.set_enabled(credential, id, *enabled).await,
            ActionRequest::Rename { alias, .. } => client.rename(credential, id, alias).await,
            ActionRequest::Remove { revoke, .. } => client.remove(credential, id, *revoke).await,
            ActionRequest::Revoke { .. } => {
                client.revoke(credential, id).await.map(|kinds| revoked_tokens = Some(kinds))
            }
            ActionRequest::Connect { .. } | ActionRequest::Reconnect { .. } => return Err(internal().into()),
        };
        self.record_write(started_at, &written).await;
        match written {
            Ok(()) => {}
            Err(error) if error.is_outcome_unknown() => self.confirm_by_reading(id).await?,
            Err(error) => return Err(refusal(&self.request, Some(id), error)),
        }
        let is_removed = matches!(self.request, ActionRequest::Remove { .. });
        let (account, removed) = if is_removed { (None, Some(id.into())) } else { (Some(id.into()), None) };
        Ok(ActionResult { account, removed, revoked_tokens, ..ActionResult::default() })
    }

    async fn reconnect(
        &self,
        id: &str,
        account: &SharedAccount,
        options: &LinkOptions,
    ) -> Result<ActionResult, ActionError> {
        let user_id = match (account.user_id.as_deref(), options.user_id.as_deref()) {
            (Some(owner), Some(requested)) if owner != requested => {
                let message = "`userId` is not the user of this account. Leave it out.";
                return Err(UserError::new(UserErrorCode::InvalidUserId, "userId", message).into());
            }
            (Some(user_id), _) | (None, Some(user_id)) => user_id,
            (None, None) => {
                let what_to_do = "Composio does not state this account's user; pass its id.";
                return Err(user_id_required(what_to_do).into());
            }
        };
        self.request_link(&account.auth_config.id, user_id, options, Some(id)).await
    }

    async fn request_link(
        &self,
        auth_config_id: &str,
        user_id: &str,
        options: &LinkOptions,
        replaced: Option<&str>,
    ) -> Result<ActionResult, ActionError> {
        let link = LinkRequest {
            auth_config_id: auth_config_id.into(),
            user_id: user_id.into(),
            alias: options.alias.as_deref().map(Into::into),
            callback_url: options.callback_url.as_deref().map(Into::into),
        };
        let (client, started_at) = (&self.context.sources.lists.fetcher.client, Instant::now());
        let started = client.create_connect_link(&self.reader.credential, &link).await;
        self.record_write(started_at, &started).await;
        match started {
            Ok(link) if is_safe(&link) => Ok(ActionResult {
                account: Some(link.account_id.clone()),
                replaced: replaced.map(Into::into),
                link: Some(link),
                ..ActionResult::default()
            }),
            // The URL is not safe for browsers.
            Ok(_) => Err(UpstreamError::new(UpstreamName::Composio, UpstreamFailure::BadResponse).into()),
            Err(error) if error.is_outcome_unknown() => Err(unknown(&self.request, None).into()),
            Err(error) => Err(refusal(&self.request, replaced, error)),
        }
    }

    /// Reads an account as the caller sees it, and returns whether it is fresh.
    async fn find(&self, id: &str) -> Result<(SharedAccount, bool), ActionError> {
        let mut results = self.context.sources.accounts_by_id.get(&self.reader, [Box::from(id)]).await;
        let found = results.remove(id).unwrap_or_else(|| Err(internal()))?;
        // A value from before an expiry is never `Fresh`, and is returned only if the fetch fails.
        let is_current = found.freshness.state == FreshnessState::Fresh;
        found.value.map(|account| (account, is_current)).ok_or_else(|| not_found().into())
    }

    /// Reads an account after a write that was not confirmed, and compares it with what was requested.
    async fn confirm_by_reading(&self, id: &str) -> Result<(), ActionError> {
        match self.find(id).await {
            Ok((account, true)) if self.request.is_applied(Some(&account)) => Ok(()),
            Ok((account, true)) => Err(unknown(&self.request, Some(&account)).into()),
            Err(ActionError::User(_)) if self.request.is_applied(None) => Ok(()),
            Err(error @ ActionError::User(_)) => Err(error),
            // It could not be read now.
            Ok((_, false)) | Err(_) => Err(unknown(&self.request, None).into()),
        }
    }

    /// Records a write. Expires the tenant's accounts, unless the write cannot have changed anything or shown that
    /// cached data is outdated.
    async fn record_write<T>(&self, started_at: Instant, written: &Result<T, UpstreamError>) {
        self.context.stats.record_write(self.request.action().name(), started_at, written);
        let is_unchanged = written.as_ref().is_err_and(|error| {
            !error.is_outcome_unknown() && !matches!(error.status, Some(400 | 404 | 409 | 422))
        });
        if !is_unchanged {
            self.expire().await;
        }
    }

    async fn expire(&self) {
        let sources = &self.context.sources;
        sources.accounts_changed(&self.context.caller.tenant, ChangeCause::Mutation);
        sources.lists.upstream_cache.flush(FLUSH_TIMEOUT).await;
    }
}

/// Whether a browser may be sent to the URL of a sign-in page.
fn is_safe(link: &ConnectLink) -> bool {
    Url::parse(link.redirect_url.expose_secret()).is_ok_and(|url| is_safe_for_browsers(&url))
}
