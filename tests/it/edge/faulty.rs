//! A schema that fails in every way that a resolver can, which the real graph hopefully never does; that counts
//! how often it is executed, and waits until it is told to go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_graphql::{
    Context, EmptySubscription, Enum, InputObject, Object, Request, Response, Result, Scalar, ScalarType,
    Schema, SimpleObject, ValidationMode, Value,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use switchboard::domain::caller::Caller;
use switchboard::domain::input::{BadInput, BadInputReason};
use switchboard::domain::upstream_name::UpstreamName;
use switchboard::graphql::errors::FieldError;
use switchboard::loaders::cache::upstream_cache::Revision;
use switchboard::loaders::stats::Ledger;
use switchboard::operation::Executor;
use switchboard::upstream::error::{UpstreamError, UpstreamFailure};
use tokio::sync::Semaphore;

pub(super) const LEAK: &str = "text that must not leak";

pub(super) struct Faulty {
    schema: Schema<Query, Mutation, EmptySubscription>,
}

/// What a test has of a schema that is being asked.
#[derive(Clone)]
pub(super) struct Gate {
    counter: Arc<AtomicU32>,
    waiting: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    /// Waits until so many executions stand before the gate; for ever is, on a paused clock, no time.
    pub(super) async fn is_reached_by(&self, executions: u32) {
        let reached = tokio::time::timeout(Duration::from_secs(60), self.waiting.acquire_many(executions));
        reached.await.expect("fewer were executed").unwrap().forget();
    }

    /// Lets everybody pass, from now on.
    pub(super) fn open(&self) {
        self.open.close();
    }
}

impl Faulty {
    pub(super) fn new() -> Self {
        Self::with_gate().0
    }

    pub(super) fn with_gate() -> (Self, Gate) {
        let closed = || Arc::new(Semaphore::new(0));
        let gate = Gate { counter: Arc::default(), waiting: closed(), open: closed() };
        let schema = Schema::build(Query, Mutation, EmptySubscription).data(gate.clone());
        (Self { schema: schema.validation_mode(ValidationMode::Fast).finish() }, gate)
    }
}

/// How often it was asked for by now.
fn counted(context: &Context<'_>) -> u32 {
    context.data_unchecked::<Gate>().counter.fetch_add(1, Ordering::SeqCst) + 1
}

impl Executor for Faulty {
    fn sdl(&self) -> String {
        self.schema.sdl()
    }

    fn execute(&self, request: Request, caller: Caller, _: Arc<Ledger>) -> BoxFuture<'_, Response> {
        self.schema.execute(request.data(caller)).boxed()
    }

    fn revision(&self, _: &Caller) -> Revision {
        Revision::default()
    }
}

fn rate_limited() -> UpstreamError {
    let mut error = UpstreamError::new(UpstreamName::Composio, UpstreamFailure::RateLimited).caused_by(LEAK);
    error.retry_after = Some(Duration::from_millis(1500));
    error.request_id = Some("req_42".into());
    error
}

pub(super) struct Moment(String);

/// A moment, as the real graph has it.
#[Scalar(name = "DateTime", specified_by_url = "https://scalars.graphql.org/andimarek/date-time")]
impl ScalarType for Moment {
    fn parse(value: Value) -> async_graphql::InputValueResult<Self> {
        Ok(Self(value.to_string()))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum Colour {
    Red,
    Green,
}

#[derive(InputObject)]
struct Filter {
    colours: Option<Vec<Colour>>,
    connected: Option<bool>,
    name: String,
    #[graphql(default = 7)]
    size: i32,
}

#[derive(SimpleObject)]
#[graphql(complex)]
struct Item {
    index: usize,
}

#[async_graphql::ComplexObject]
impl Item {
    async fn broken(&self) -> Option<Result<String>> {
        Some(Err(FieldError::from(rate_limited()).into()))
    }

    async fn deeper(&self) -> Item {
        Item { index: self.index + 1 }
    }
}

pub(super) struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "hello"
    }

    async fn moment(&self) -> Moment {
        Moment("2026-11-21T00:00:00Z".to_owned())
    }

    async fn echo(
        &self,
        number: Option<i32>,
        id: Option<async_graphql::ID>,
        filter: Option<Filter>,
    ) -> String {
        let filter = filter.map(|f| {
            let colours = f.colours.map(|colours| colours.len());
            format!("{} {colours:?} {:?} {}", f.name, f.connected, f.size)
        });
        format!("{number:?} {:?} {filter:?}", id.map(|id| id.0))
    }

    async fn count(&self, context: &Context<'_>) -> u32 {
        counted(context)
    }

    async fn viewer(&self, context: &Context<'_>) -> u32 {
        counted(context)
    }

    async fn upstreams(&self, context: &Context<'_>) -> u32 {
        counted(context)
    }

    /// Counts, and waits at the gate.
    async fn waits(&self, context: &Context<'_>) -> u32 {
        let count = counted(context);
        let gate = context.data_unchecked::<Gate>();
        gate.waiting.add_permits(1);
        gate.open.acquire().await.expect_err("the gate is opened by closing");
        count
    }

    async fn keys(&self, context: &Context<'_>) -> Result<String> {
        let tenant = &context.data::<Caller>()?.tenant;
        Ok(format!("leadlex: {}, composio: {}", tenant.leadlex.is_some(), tenant.composio.is_some()))
    }

    /// Who asks, and of which tenant: by its key's fingerprint.
    async fn whoami(&self, context: &Context<'_>) -> Result<String> {
        let Caller { name, role, tenant, .. } = context.data::<Caller>()?;
        let key = tenant.composio.as_ref().map(|key| key.fingerprint());
        Ok(format!("{name} {role:?} {key:?}"))
    }

    async fn limited(&self) -> Option<Result<String>> {
        Some(Err(FieldError::from(rate_limited()).into()))
    }

    async fn refused(&self) -> Option<Result<String>> {
        let input = BadInput::new(BadInputReason::BadPageSize, "`first` must be between 0 and 100.");
        Some(Err(FieldError::from(input).into()))
    }

    async fn foreign(&self) -> Option<Result<String>> {
        Some(foreign())
    }

    async fn foreign_at_the_root(&self) -> Result<String> {
        foreign()
    }

    async fn panics(&self) -> Option<String> {
        Some(std::hint::black_box(None).expect("a resolver's bug"))
    }

    async fn items(&self, count: Option<usize>) -> Vec<Item> {
        (0..count.unwrap_or(20)).map(|index| Item { index }).collect()
    }
}

fn foreign() -> Result<String> {
    Err(LEAK)?
}

pub(super) struct Mutation;

#[Object]
impl Mutation {
    async fn bump(&self, context: &Context<'_>) -> u32 {
        counted(context)
    }
}
