//! A schema with every kind of resolver failure. It counts its executions and can block them until a test
//! opens the gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_graphql::{
    Context, EmptySubscription, Enum, InputObject, Object, Request, Response, Result, SDLExportOptions,
    Scalar, ScalarType, Schema, SimpleObject, ValidationMode, Value,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use switchboard::domain::caller::Caller;
use switchboard::domain::input::{BadInput, BadInputReason};
use switchboard::domain::upstream_name::UpstreamName;
use switchboard::graphql::errors::FieldError;
use switchboard::loaders::cache::upstream_cache::DataState;
use switchboard::loaders::stats::OperationStats;
use switchboard::operation::Executor;
use switchboard::upstream::error::{UpstreamError, UpstreamFailure};
use tokio::sync::Semaphore;

pub(super) const LEAK: &str = "text that must not leak";

pub(super) struct FaultySchema {
    schema: Schema<Query, Mutation, EmptySubscription>,
    has_invalid_published_sdl: bool,
}

/// A test's control over a blocked schema.
#[derive(Clone)]
pub(super) struct ExecutionGate {
    counter: Arc<AtomicU32>,
    waiting: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl ExecutionGate {
    /// Waits until this many executions are blocked. With a paused clock the timeout costs no real time.
    pub(super) async fn wait_for_executions(&self, executions: u32) {
        let reached = tokio::time::timeout(Duration::from_secs(60), self.waiting.acquire_many(executions));
        reached.await.expect("fewer were executed").unwrap().forget();
    }

    /// Lets all executions continue, now and later.
    pub(super) fn open(&self) {
        self.open.close();
    }
}

impl FaultySchema {
    pub(super) fn new() -> Self {
        Self::with_gate().0
    }

    pub(super) fn with_gate() -> (Self, ExecutionGate) {
        let closed = || Arc::new(Semaphore::new(0));
        let gate = ExecutionGate { counter: Arc::default(), waiting: closed(), open: closed() };
        let schema = Schema::build(Query, Mutation, EmptySubscription).data(gate.clone());
        let schema = schema.validation_mode(ValidationMode::Fast).finish();
        (Self { schema, has_invalid_published_sdl: false }, gate)
    }

    pub(super) fn with_invalid_published_sdl() -> Self {
        Self { has_invalid_published_sdl: true, ..Self::new() }
    }
}

/// The number of calls of this field, including this one.
fn count_call(context: &Context<'_>) -> u32 {
    context.data_unchecked::<ExecutionGate>().counter.fetch_add(1, Ordering::SeqCst) + 1
}

impl Executor for FaultySchema {
    fn sdl(&self) -> String {
        self.schema.sdl_with_options(SDLExportOptions::new().include_specified_by())
    }

    fn published_sdl(&self) -> String {
        if self.has_invalid_published_sdl { format!("type Query {{ {LEAK} }}") } else { self.sdl() }
    }

    fn execute(&self, request: Request, caller: Caller, _: Arc<OperationStats>) -> BoxFuture<'_, Response> {
        self.schema.execute(request.data(caller)).boxed()
    }

    fn data_state(&self, _: &Caller) -> DataState {
        DataState::default()
    }
}

fn rate_limited() -> UpstreamError {
    let mut error = UpstreamError::new(UpstreamName::Composio, UpstreamFailure::RateLimited).caused_by(LEAK);
    error.retry_after = Some(Duration::from_millis(1500));
    error.request_id = Some("req_42".into());
    error
}

pub(super) struct DateTime(String);

/// The `DateTime` scalar, as in the real graph.
#[Scalar(name = "DateTime", specified_by_url = "https://scalars.graphql.org/andimarek/date-time")]
impl ScalarType for DateTime {
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

    async fn moment(&self) -> DateTime {
        DateTime("2026-11-21T00:00:00Z".to_owned())
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
        count_call(context)
    }

    async fn viewer(&self, context: &Context<'_>) -> u32 {
        count_call(context)
    }

    async fn upstreams(&self, context: &Context<'_>) -> u32 {
        count_call(context)
    }

    /// Counts its call, then waits at the gate.
    async fn waits(&self, context: &Context<'_>) -> u32 {
        let count = count_call(context);
        let gate = context.data_unchecked::<ExecutionGate>();
        gate.waiting.add_permits(1);
        gate.open.acquire().await.expect_err("the gate is opened by closing");
        count
    }

    async fn keys(&self, context: &Context<'_>) -> Result<String> {
        let tenant = &context.data::<Caller>()?.tenant;
        Ok(format!("leadlex: {}, composio: {}", tenant.leadlex.is_some(), tenant.composio.is_some()))
    }

    /// The caller's name and the fingerprint of its tenant's key.
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
        count_call(context)
    }
}
