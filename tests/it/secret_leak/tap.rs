//! What lies between the layer and its upstreams: it sees which secrets pass, adds those that the sandbox has no place for,
//! and panics on demand.

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
use switchboard::loaders::cache::upstream_cache::Revision;
use switchboard::loaders::stats::Ledger;
use switchboard::operation::Executor;
use switchboard::sandbox::{CANARY, Sandbox};
use switchboard::telemetry::metrics::Metrics;
use switchboard::upstream::transport::Network;

/// What a panic's message begins with that is made here; a secret follows, as where a library shows the value it met.
pub(super) const PANIC: &str = "an accident at ";

/// The names of all that must not leave the layer: the classes SECRET and CAPABILITY of UPSTREAMS.md A4, the unknown and
/// what stands beside `val`.
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

/// The names of secrets that an upstream has answered.
pub(super) type Passed = BTreeSet<String>;

/// What goes wrong in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accident {
    None,
    PanicBeforeTheAnswer,
    PanicInTheBody,
    PanicInAResolver,
}

/// The graph, and what panics in its midst: with the whole answer at hand.
pub(super) struct Panicking(pub(super) Graph);

impl Executor for Panicking {
    fn sdl(&self) -> String {
        Executor::sdl(&self.0)
    }

    fn execute(
        &self,
        request: async_graphql::Request,
        caller: Caller,
        ledger: Arc<Ledger>,
    ) -> BoxFuture<'_, async_graphql::Response> {
        Box::pin(async move {
            let answer = Executor::execute(&self.0, request, caller, ledger).await;
            panic!("{PANIC}{answer:?} {CANARY}panic");
        })
    }

    fn revision(&self, caller: &Caller) -> Revision {
        Executor::revision(&self.0, caller)
    }

    fn metrics(&self) -> Metrics {
        self.0.metrics()
    }
}

#[derive(Clone)]
pub(super) struct Tap {
    accident: Accident,
    passed: Arc<Mutex<Passed>>,
}

impl Tap {
    pub(super) fn new(accident: Accident) -> Self {
        Self { accident, passed: Arc::default() }
    }

    pub(super) fn accident(&self) -> Accident {
        self.accident
    }

    pub(super) fn passed(&self) -> Passed {
        self.passed.lock().unwrap().clone()
    }

    /// The network that is a sandbox.
    pub(super) fn over(&self, sandbox: &Sandbox) -> Network {
        let (router, tap) = (sandbox.router(), self.clone());
        BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
            let (router, tap) = (router.clone(), tap.clone());
            async move {
                if tap.accident == Accident::PanicBeforeTheAnswer {
                    panic!("{PANIC}{request:?} {CANARY}panic");
                }
                let answer = router.oneshot(request.map(axum::body::Body::from)).await?;
                Ok::<_, BoxError>(tap.changed(answer).await)
            }
        }))
    }

    /// With more secrets in it, and with an end that may be an accident.
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
        self.passed.lock().unwrap().extend(names);
    }
}

/// In each account and each provider.
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
