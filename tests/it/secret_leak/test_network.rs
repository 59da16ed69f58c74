//! A network between the graph and the sandbox: it records which canary values were returned, adds secrets that the
//! sandbox does not have, and panics on demand.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt as _, service_fn};

use switchboard::domain::caller::Caller;
use switchboard::graphql::graph::Graph;
use switchboard::loaders::cache::upstream_cache::DataState;
use switchboard::loaders::stats::OperationStats;
use switchboard::operation::Executor;
use switchboard::sandbox::{CANARY, Sandbox};
use switchboard::telemetry::metrics::Metrics;
use switchboard::upstream::transport::Network;

/// Beginning of the messages of injected panics; a secret follows, as in a library that prints a value.
pub(super) const PANIC: &str = "an accident at ";

/// The names of all that must not leave the layer: the secrets and capabilities of
/// docs/upstreams.md#composio-secrets, unknown fields, and fields beside `val`.
pub(super) const SECRETS: [&str; 52] = [
    "oauth_token",
    "oauth_token_secret",
    "oauth_verifier",
    "consumer_key",
    "access_token",
    "refresh_token",
    "id_token",
    "extra_token_data",
    "code_verifier",
    "webhook_signature",
    "client_secret",
    "client_id",
    "generic_api_key",
    "api_key",
    "bearer_token",
    "basic_encoded",
    "token",
    "username",
    "password",
    "credentials_json",
    "private_key",
    "application_id",
    "installation_id",
    "sessionId",
    "devKey",
    "proxy_username",
    "proxy_password",
    "registration_access_token",
    "registration_client_uri",
    "redirectUrl",
    "authUri",
    "callbackUrl",
    "callback_url",
    "finalRedirectUri",
    "composio_link_redirect_url",
    "state_prefix",
    "data",
    "allowed_user_ids",
    "not_allowed_user_ids",
    "vendor_session",
    "risk",
    "passkey",
    "html",
    // Added here.
    "params",
    "credentials",
    "shared_credentials",
    "proxy_auth_key",
    "leadlex_token",
    "leadlex_nested",
    "header",
    "cookie",
    "authed_user",
];

/// Names of the canary values that an upstream has returned.
pub(super) type CanaryNames = BTreeSet<String>;

/// A failure inside this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accident {
    None,
    PanicBeforeTheAnswer,
    PanicInTheBody,
    PanicInAResolver,
}

/// A graph that panics with its response.
pub(super) struct PanickingExecutor(pub(super) Graph);

impl Executor for PanickingExecutor {
    fn sdl(&self) -> String {
        Executor::sdl(&self.0)
    }

    fn execute(
        &self,
        request: async_graphql::Request,
        caller: Caller,
        stats: Arc<OperationStats>,
    ) -> BoxFuture<'_, async_graphql::Response> {
        Box::pin(async move {
            let answer = Executor::execute(&self.0, request, caller, stats).await;
            panic!("{PANIC}{answer:?} {CANARY}panic");
        })
    }

    fn data_state(&self, caller: &Caller) -> DataState {
        self.0.data_state(caller)
    }

    fn metrics(&self) -> Metrics {
        self.0.metrics()
    }
}

#[derive(Clone)]
pub(super) struct TestNetwork {
    accident: Accident,
    returned: Arc<Mutex<CanaryNames>>,
}

impl TestNetwork {
    pub(super) fn new(accident: Accident) -> Self {
        Self { accident, returned: Arc::default() }
    }

    pub(super) fn accident(&self) -> Accident {
        self.accident
    }

    pub(super) fn returned(&self) -> CanaryNames {
        self.returned.lock().unwrap().clone()
    }

    /// The network over a sandbox.
    pub(super) fn over(&self, sandbox: &Sandbox) -> Network {
        let (router, test_network) = (sandbox.router(), self.clone());
        BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
            let (router, test_network) = (router.clone(), test_network.clone());
            async move {
                if test_network.accident == Accident::PanicBeforeTheAnswer {
                    panic!("{PANIC}{request:?} {CANARY}panic");
                }
                let answer = router.oneshot(request.map(axum::body::Body::from)).await?;
                Ok::<_, BoxError>(test_network.changed(answer).await)
            }
        }))
    }

    /// The response with more secrets, and with an injected failure at its end.
    async fn changed(
        &self,
        answer: Response<axum::body::Body>,
    ) -> Response<http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>> {
        let (mut head, mut body) = answer.into_parts();
        let (mut bytes, mut broken) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(error) => broken = Some(BoxError::from(error)),
            }
        }
        let text = with_more_secrets(&String::from_utf8(bytes).unwrap());
        head.headers.remove(header::CONTENT_LENGTH);
        head.headers.insert("x-secret", HeaderValue::from_static("CANARY-header-0"));
        head.headers.insert(header::SET_COOKIE, HeaderValue::from_static("session=CANARY-cookie-0"));
        self.note(&text);
        self.note("CANARY-header-0 CANARY-cookie-0");
        let accident = self.accident;
        let whole = stream::iter([Ok(Frame::data(Bytes::from(text.clone())))]);
        let end = stream::iter(broken.map(Err)).chain(stream::poll_fn(move |_| {
            if accident == Accident::PanicInTheBody {
                panic!("{PANIC}{text}");
            }
            std::task::Poll::Ready(None)
        }));
        Response::from_parts(head, StreamBody::new(whole.chain(end)).boxed_unsync())
    }

    fn note(&self, text: &str) {
        let words = text.split(CANARY).skip(1);
        let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let names =
            words.map(|word| word.split(|letter| !is_of_name(letter)).next().unwrap_or_default().to_owned());
        self.returned.lock().unwrap().extend(names);
    }
}

/// Adds secrets to each account and each provider.
fn with_more_secrets(text: &str) -> String {
    let of_account = "\"params\":{\"k\":[\"CANARY-params-0\"]},\"credentials\":\"CANARY-credentials-0\",\
        \"shared_credentials\":{\"a\":\"CANARY-shared_credentials-0\"},\
        \"proxy_config\":{\"proxy_auth_key\":\"CANARY-proxy_auth_key-0\"},\"state\":{";
    let of_val = "\"val\":{\"authed_user\":{\"access_token\":\"CANARY-authed_user-0\"},\"authUri\":\"CANARY-authUri-0\",\
        \"callbackUrl\":\"CANARY-callbackUrl-0\",";
    let of_provider = "\"access_token\":\"CANARY-leadlex_token-0\",\
        \"credentials\":{\"all\":[{\"of\":\"CANARY-leadlex_nested-0\"}]},\"category\":";
    let text = text.replace("\"state\":{", of_account).replace("\"val\":{", of_val);
    text.replace("\"category\":", of_provider)
}
