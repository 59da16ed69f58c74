//! The routes of a sandbox.

use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use http::StatusCode;

use super::request_log::RecordedRequest;
use super::server::Sandbox;
use super::upstreams::{EmulatedUpstream, LEADLEX_PATH};
use super::{
    catalogue, composio, composio_writes, leadlex, middleware, sign_in, standing_faults, test_accounts,
};

impl Sandbox {
    /// Returns the routes: LeadLex under [`LEADLEX_PATH`], Composio under `/api/v3` and `/api/v3.1`, `/__requests`,
    /// `/__accounts/{id}`, `/__faults/{upstream}`, and a description at `/`.
    pub fn router(&self) -> Router {
        let middleware = |upstream| {
            from_fn_with_state(
                middleware::UpstreamMiddleware { sandbox: self.clone(), upstream },
                middleware::handle,
            )
        };
        let leadlex = Router::new()
            .route(&format!("{LEADLEX_PATH}/v1/settings/providers"), get(leadlex::list))
            .route_layer(middleware(EmulatedUpstream::Leadlex));
        // Both versions are written out: nesting would remove the prefix from the logged target.
        let composio = ["/api/v3", "/api/v3.1"].into_iter().fold(Router::new(), |router, version| {
            let path = |rest: &str| format!("{version}/connected_accounts{rest}");
            let single_account =
                get(composio::single).patch(composio_writes::update).delete(composio_writes::delete);
            router
                .route(&path(""), get(composio::list))
                .route(&path("/link"), post(composio_writes::link))
                .route(&path("/{id}"), single_account)
                .route(&path("/{id}/status"), patch(composio_writes::status))
                .route(&path("/{id}/revoke"), post(composio_writes::revoke))
                .route(&format!("{version}/toolkits/multi"), post(catalogue::multi))
        });
        let composio = composio.route_layer(middleware(EmulatedUpstream::Composio));
        Router::new()
            .merge(leadlex)
            .merge(composio)
            .route("/", get(index))
            .route("/__requests", get(list_requests).delete(clear_requests))
            .route("/__sign-in/{token}", get(sign_in::ask).post(sign_in::decide))
            .route("/__accounts/{id}", put(test_accounts::put).delete(test_accounts::delete))
            .route("/__faults/{upstream}", put(standing_faults::put).delete(standing_faults::delete))
            .with_state(self.clone())
    }
}

/// Returns a description for people who open the sandbox in a browser.
async fn index() -> String {
    format!(
        "The Switchboard sandbox: both upstream APIs, emulated.\n\n\
         LeadLex    GET {LEADLEX_PATH}/v1/settings/providers    Authorization: Bearer wbk_sandbox_a or wbk_sandbox_b\n\
         Composio   GET /api/v3/connected_accounts    x-api-key: ak_sandbox_a or ak_sandbox_b\n\
         Composio   POST /api/v3/connected_accounts/link, and PATCH, DELETE, /status and /revoke of one account\n\
         Composio   POST /api/v3.1/toolkits/multi    {{\"toolkits\": [\"gmail\"]}}\n\n\
         GET /__requests lists the received requests, DELETE clears the list.\n\
         PUT /__accounts/ca_new?toolkit=gmail&user_id=user_1 adds an account, DELETE removes it (with the x-api-key).\n\
         PUT /__faults/composio with X-Emulate: status=503 makes all its requests fail, DELETE ends it.\n"
    )
}

async fn list_requests(State(sandbox): State<Sandbox>) -> Json<Vec<RecordedRequest>> {
    Json(sandbox.requests())
}

async fn clear_requests(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.clear_requests();
    StatusCode::NO_CONTENT
}
