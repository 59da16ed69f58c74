//! An integration of the workspace.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::account_connection::{ConnectedAccountConnection, connect};
use super::account_filters::{ConnectedAccountOrder, ProviderAccountFilter};
use super::errors::FieldError;
use super::freshness::DataFreshness;
use super::health::{HealthReason, HealthVerdict, disagreement};
use super::moment::{DateTime, moment};
use super::operation_context::operation;
use super::plain::Plain;
use super::plain::PlainField::{self, Leaf, Objects};
use super::toolkits::Toolkit;
use super::words::{ProviderCategory, ProviderStatus};
use super::written::One;
use crate::domain::global_id::GlobalId;
use crate::domain::page::PageArguments;
use crate::loaders::cache::freshness::Freshness;
use crate::loaders::health::Judge;
use crate::loaders::lists::parent::Parent;
use crate::loaders::lists::providers::ListedProvider;

pub(super) struct Provider(pub(super) Arc<ListedProvider>, pub(super) Freshness, pub(super) Arc<Judge>);

/// An integration of the workspace, as the workspace API reports it.
#[Object]
impl Provider {
    /// Opaque, stable across restarts and replicas, and free of personal data.
    pub(super) async fn id(&self) -> ID {
        GlobalId::Provider(self.0.id).encode().into()
    }

    async fn category(&self) -> ProviderCategory {
        self.0.provider.category.kind().into()
    }

    /// The category in the upstream's own word, also when it is one that this layer does not know.
    async fn raw_category(&self) -> &str {
        self.0.provider.category.raw()
    }

    /// The integration's name in the upstream's own word: `gmail`, `microsoft`, `slack`. Not unique: `microsoft` is an e-mail and a calendar provider.
    async fn name(&self) -> &str {
        &self.0.provider.name
    }

    async fn connected(&self) -> bool {
        self.0.provider.connected
    }

    /// The provider-side account; null while nothing is connected.
    async fn account_id(&self) -> Option<&str> {
        self.0.provider.account_id.as_deref()
    }

    async fn display_name(&self) -> Option<&str> {
        self.0.provider.display_name.as_deref()
    }

    /// The OAuth scopes that were granted.
    async fn scopes(&self) -> Vec<&str> {
        self.0.provider.scopes.iter().map(AsRef::as_ref).collect()
    }

    async fn connected_at(&self) -> Option<DateTime> {
        moment(self.0.provider.connected_at)
    }

    /// The last successful sync.
    async fn last_sync_at(&self) -> Option<DateTime> {
        moment(self.0.provider.last_sync_at)
    }

    async fn status(&self) -> ProviderStatus {
        self.0.provider.status.kind().into()
    }

    /// The status in the upstream's own word.
    async fn raw_status(&self) -> &str {
        self.0.provider.status.raw()
    }

    /// The upstream's explanation while the provider is not healthy.
    async fn error_message(&self) -> Option<&str> {
        self.0.provider.error_message.as_deref()
    }

    /// The verdict for people, of this object's own upstream: one state, the reasons for it, and whether somebody has to act.
    async fn health(&self) -> HealthVerdict {
        HealthVerdict(self.2.provider(&self.0.provider))
    }

    /// Where the two upstreams say opposite things of this integration; null where they agree, or where one cannot be read. Asks the other upstream.
    async fn disagreement(&self, ctx: &Context<'_>) -> Option<Result<HealthReason, FieldError>> {
        disagreement(ctx, &self.0.provider).await.transpose()
    }

    async fn freshness(&self) -> DataFreshness {
        DataFreshness(self.1)
    }

    /// The toolkits that stand for this provider in the connected-accounts system.
    async fn toolkits(&self, ctx: &Context<'_>) -> Vec<Toolkit> {
        operation(ctx).mapping().toolkits_of(&self.0.provider).iter().cloned().map(Toolkit::Known).collect()
    }

    /// The accounts connected through this provider's toolkits. Asked for on many providers at once, it costs one upstream call, not one each.
    #[expect(clippy::too_many_arguments, reason = "the arguments are the schema's own")]
    async fn connected_accounts(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        before: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
        filter: Option<ProviderAccountFilter>,
        #[graphql(default_with = "Some(ConnectedAccountOrder::default())")] order_by: Option<
            ConnectedAccountOrder,
        >,
    ) -> Option<Result<One<ConnectedAccountConnection>, FieldError>> {
        let parent = Parent::toolkits(operation(ctx).mapping().toolkits_of(&self.0.provider));
        let page = PageArguments { after, before, first, last };
        Some(connect(ctx, parent, filter.unwrap_or_default().check(), page, order_by).await)
    }
}

impl Plain for Provider {
    const FIELDS: &'static [(&'static str, PlainField<Self>)] = &[
        ("id", Leaf(|Self(listed, ..), json| json.put(GlobalId::Provider(listed.id).encode()))),
        (
            "category",
            Leaf(|Self(listed, ..), json| json.word(ProviderCategory::from(listed.provider.category.kind()))),
        ),
        ("rawCategory", Leaf(|Self(listed, ..), json| json.put(listed.provider.category.raw()))),
        ("name", Leaf(|Self(listed, ..), json| json.put(&listed.provider.name))),
        ("connected", Leaf(|Self(listed, ..), json| json.put(listed.provider.connected))),
        ("accountId", Leaf(|Self(listed, ..), json| json.put(&listed.provider.account_id))),
        ("displayName", Leaf(|Self(listed, ..), json| json.put(&listed.provider.display_name))),
        ("scopes", Leaf(|Self(listed, ..), json| json.put(&listed.provider.scopes))),
        ("connectedAt", Leaf(|Self(listed, ..), json| json.moment(listed.provider.connected_at))),
        ("lastSyncAt", Leaf(|Self(listed, ..), json| json.moment(listed.provider.last_sync_at))),
        (
            "status",
            Leaf(|Self(listed, ..), json| json.word(ProviderStatus::from(listed.provider.status.kind()))),
        ),
        ("rawStatus", Leaf(|Self(listed, ..), json| json.put(listed.provider.status.raw()))),
        ("errorMessage", Leaf(|Self(listed, ..), json| json.put(&listed.provider.error_message))),
        (
            "health",
            Objects(|below| {
                below.one(|Self(listed, _, judge), show| {
                    show(&HealthVerdict(judge.provider(&listed.provider)));
                })
            }),
        ),
        (
            "freshness",
            Objects(|below| below.one(|Self(_, freshness, _), show| show(&DataFreshness(*freshness)))),
        ),
    ];
}
