//! The settings of all components as one value.

use serde::Deserialize;

use super::reloadable::SettingDigests;
use crate::domain::settings::{HealthSettings, IdSettings, ToolkitSettings};
use crate::domain::toolkits::ToolkitMapping;
use crate::graphql::federation::FederationSettings;
use crate::http::caller::settings::{AuthSettings, TenantSettings};
use crate::http::settings::{HttpSettings, OpsSettings, ServerSettings};
use crate::http::webhook::settings::WebhookSettings;
use crate::loaders::actions::settings::ActionSettings;
use crate::loaders::settings::{CacheSettings, ConnectionSettings, ListSettings, WatchSettings};
use crate::operation::persisted::trusted::TrustedDocuments;
use crate::operation::rate_limits::settings::RateLimitSettings;
use crate::operation::settings::{DocumentSettings, LimitSettings};
use crate::replicas::settings::ReplicaSettings;
use crate::telemetry::LogSettings;
use crate::telemetry::metrics::MetricsSettings;
use crate::telemetry::traces::settings::TraceSettings;
use crate::upstream::settings::UpstreamSettings;

/// The settings of every component. Only `app` and the commands see all of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[http]`
    pub http: HttpSettings,
    /// `[ops]`
    pub ops: OpsSettings,
    /// `[server]`
    pub server: ServerSettings,
    /// `[limits]`
    pub limits: LimitSettings,
    /// `[rate_limits]`
    pub rate_limits: RateLimitSettings,
    /// `[documents]`
    pub documents: DocumentSettings,
    /// `[auth]`
    pub auth: AuthSettings,
    /// `[webhooks]`
    pub webhooks: WebhookSettings,
    /// `[[tenants]]`
    pub tenants: Vec<TenantSettings>,
    /// `[upstream.leadlex]` and `[upstream.composio]`
    pub upstream: Upstreams,
    /// `[cache]`
    pub cache: CacheSettings,
    /// `[redis]`
    pub redis: ReplicaSettings,
    /// `[connections]`
    pub connections: ConnectionSettings,
    /// `[subscriptions]`
    pub subscriptions: WatchSettings,
    /// `[lists]`
    pub lists: ListSettings,
    /// `[federation]`
    pub federation: FederationSettings,
    /// `[ids]`
    pub ids: IdSettings,
    /// `[toolkits]`
    pub toolkits: ToolkitSettings,
    /// `[health]`
    pub health: HealthSettings,
    /// `[actions]`
    pub actions: ActionSettings,
    /// `[log]`
    pub log: LogSettings,
    /// `[traces]`
    pub traces: TraceSettings,
    /// `[metrics]`
    pub metrics: MetricsSettings,
    #[serde(skip)]
    pub(super) redacted: String,
    #[serde(skip)]
    pub(super) changed: String,
    #[serde(skip)]
    pub(super) digests: SettingDigests,
    #[serde(skip)]
    pub(super) files: LoadedFiles,
}

/// The files that settings name, read and parsed when the configuration was loaded.
#[derive(Debug, Clone, Default)]
pub(super) struct LoadedFiles {
    pub(super) trusted_documents: Option<TrustedDocuments>,
    pub(super) toolkit_mapping: ToolkitMapping,
}

/// The settings of both upstreams.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstreams {
    /// `[upstream.leadlex]`
    pub leadlex: UpstreamSettings,
    /// `[upstream.composio]`
    pub composio: UpstreamSettings,
}

/// Whether the keys of both upstreams must be set, in a mode that uses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApiKeys {
    /// A missing key is a problem, as for `serve`.
    #[default]
    Required,
    /// A missing key is allowed.
    Optional,
}
