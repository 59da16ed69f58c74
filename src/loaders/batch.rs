//! What resolvers call: one batching loader per operation.
//!
//! All fields of one level ask in the same turn of the executor, so they arrive here as one batch
//! (async-graphql's `DataLoader`). A loader lives for one operation and holds its caller: a batch
//! never mixes callers, whatever its keys look like. What outlives the operation is the cache below.
//!
//! Every value is a `Result` of its own, so that one parent's failure is not everybody's.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::Timer;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::task::{FutureObj, Spawn, SpawnError};

use super::by_id::AccountsById;
use super::joined::{Parent, Question};
use super::lists::{ListError, Lists, Slice, Wanted};
use super::provider_page::{ProviderPage, ProviderQuestion};
use super::providers::{ProviderList, Providers};
use super::scan::Scan;
use crate::domain::accounts::SharedAccount;
use crate::domain::caller::{Caller, Tenant};
use crate::domain::filters::{AccountFilter, AccountOrder};
use crate::domain::page::PageRequest;
use crate::domain::upstream_name::UpstreamName;
use crate::upstream::error::{UpstreamError, UpstreamFailure};

/// The shared parts that loaders read through.
pub struct Sources {
    /// The workspace's integrations.
    pub providers: Providers,
    /// Lists of accounts.
    pub lists: Arc<Lists>,
    /// Accounts by id.
    pub accounts_by_id: AccountsById,
}

/// One operation's loader.
pub struct OperationLoader {
    sources: Arc<Sources>,
    tenant: Tenant,
}

/// A loader for one operation of a caller.
#[must_use]
pub fn loader(sources: Arc<Sources>, caller: &Caller) -> DataLoader<OperationLoader> {
    let loader = OperationLoader { sources, tenant: caller.tenant.clone() };
    DataLoader::new(loader, TaskSpawner, NextTurn).max_batch_size(usize::MAX)
}

/// Key: every integration of the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AllProviders;

/// Key: an account by its `ca_…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountId(pub Box<str>);

/// Key: the accounts of a parent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountsOf {
    /// Whose.
    pub parent: Parent,
    /// What the connection's arguments say; shared by all parents of one field.
    pub arguments: Arc<AccountArguments>,
}

/// The arguments of a connection of accounts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountArguments {
    /// Which.
    pub filter: AccountFilter,
    /// In which order.
    pub order: AccountOrder,
    /// How many, and from where.
    pub wanted: Wanted,
}

/// Key: how many accounts a parent has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CountOf {
    /// Whose.
    pub parent: Parent,
    /// Which of them.
    pub filter: AccountFilter,
    /// The order of the connection that asks: its pages know the count.
    pub order: AccountOrder,
}

impl OperationLoader {
    /// A page of providers out of the whole list.
    ///
    /// # Errors
    /// `BAD_CURSOR` for a cursor of another list, or where there is no key to the upstream.
    pub fn provider_page(
        &self,
        list: &ProviderList,
        question: &ProviderQuestion,
        page: &PageRequest,
    ) -> Result<ProviderPage, ListError> {
        let credential = self.tenant.leadlex.as_ref().ok_or_else(no_leadlex_key)?;
        Ok(ProviderPage::cut(list, question, page, self.sources.providers.id_key(credential))?)
    }
}

impl Loader<AllProviders> for OperationLoader {
    type Value = Result<ProviderList, UpstreamError>;
    type Error = Infallible;

    async fn load(&self, _: &[AllProviders]) -> Result<HashMap<AllProviders, Self::Value>, Infallible> {
        let list = match &self.tenant.leadlex {
            Some(credential) => self.sources.providers.list(credential).await,
            None => Err(no_leadlex_key()),
        };
        Ok(HashMap::from([(AllProviders, list)]))
    }
}

impl Loader<AccountId> for OperationLoader {
    type Value = Result<Option<SharedAccount>, UpstreamError>;
    type Error = Infallible;

    async fn load(&self, keys: &[AccountId]) -> Result<HashMap<AccountId, Self::Value>, Infallible> {
        let Some(credential) = &self.tenant.composio else {
            return Ok(keys.iter().map(|key| (key.clone(), Err(no_composio_key()))).collect());
        };
        let ids = keys.iter().map(|AccountId(id)| id.clone());
        let found = self.sources.accounts_by_id.get(credential, ids).await;
        Ok(found.into_iter().map(|(id, account)| (AccountId(id), account)).collect())
    }
}

impl Loader<AccountsOf> for OperationLoader {
    type Value = Result<Arc<Slice>, ListError>;
    type Error = Infallible;

    async fn load(&self, keys: &[AccountsOf]) -> Result<HashMap<AccountsOf, Self::Value>, Infallible> {
        let Some(credential) = &self.tenant.composio else {
            return Ok(keys.iter().map(|key| (key.clone(), Err(no_composio_key().into()))).collect());
        };
        // One question per set of arguments and kind of parent; several of them run side by side.
        let mut questions: HashMap<_, BTreeSet<Parent>> = HashMap::new();
        for AccountsOf { parent, arguments } in keys {
            let kind = std::mem::discriminant(parent);
            questions.entry((Arc::clone(arguments), kind)).or_default().insert(parent.clone());
        }
        let answers = questions.into_iter().map(|((arguments, _kind), parents)| async move {
            let AccountArguments { filter, order, wanted } = (*arguments).clone();
            let question = Question { credential: credential.clone(), filter, order, wanted };
            let slices = question.ask(&self.sources.lists, parents).await;
            (arguments, slices)
        });
        let mut loaded = HashMap::new();
        for (arguments, slices) in join_all(answers).await {
            for (parent, slice) in slices {
                loaded.insert(AccountsOf { parent, arguments: Arc::clone(&arguments) }, slice);
            }
        }
        Ok(loaded)
    }
}

impl Loader<CountOf> for OperationLoader {
    type Value = Result<Option<u64>, UpstreamError>;
    type Error = Infallible;

    async fn load(&self, keys: &[CountOf]) -> Result<HashMap<CountOf, Self::Value>, Infallible> {
        let counts = keys.iter().map(|key| async {
            let count = match &self.tenant.composio {
                Some(credential) => {
                    let scan = Scan::new(credential.clone(), key.parent.narrow(&key.filter), key.order);
                    self.sources.lists.count(&scan).await
                }
                None => Err(no_composio_key()),
            };
            (key.clone(), count)
        });
        Ok(join_all(counts).await.into_iter().collect())
    }
}

fn no_leadlex_key() -> UpstreamError {
    UpstreamError::new(UpstreamName::Leadlex, UpstreamFailure::NoCredential)
}

fn no_composio_key() -> UpstreamError {
    UpstreamError::new(UpstreamName::Composio, UpstreamFailure::NoCredential)
}

/// Lets the executor finish its turn before a batch leaves. The library's own timer rounds up to a
/// whole millisecond, twice, at every level; three yields take a tenth of that and still gather all
/// that one level asks for.
struct NextTurn;

impl Timer for NextTurn {
    fn delay(&self, _: Duration) -> BoxFuture<'static, ()> {
        async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        }
        .boxed()
    }
}

struct TaskSpawner;

impl Spawn for TaskSpawner {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), SpawnError> {
        tokio::spawn(future);
        Ok(())
    }
}
