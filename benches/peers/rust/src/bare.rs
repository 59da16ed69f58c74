//! A bare axum handler that returns the same bytes as Switchboard: the upper limit for any server. A request with
//! variables makes one upstream call first, as the unique row does, and discards its rows undecoded.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::job::UNIQUE_ROWS;
use crate::rest::Upstreams;

pub(crate) async fn serve(listen: SocketAddr, hot: &Path, unique: &Path) -> anyhow::Result<()> {
    let (hot, unique) = (Bytes::from(std::fs::read(hot)?), Bytes::from(std::fs::read(unique)?));
    let upstreams = Upstreams::from_environment()?;
    let answer = move |request: Bytes| async move {
        let bytes = match users(&request) {
            None => hot,
            Some(users) => {
                let query = [("user_ids", users), ("limit", UNIQUE_ROWS.to_string())];
                upstreams.account_bytes(&query).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
                unique
            }
        };
        Ok::<_, StatusCode>(([(CONTENT_TYPE, "application/json")], bytes).into_response())
    };
    let routes = Router::new().route("/graphql", post(answer));
    axum::serve(TcpListener::bind(listen).await?, routes).await?;
    Ok(())
}

/// The users of a unique request.
fn users(request: &[u8]) -> Option<String> {
    let request: Value = serde_json::from_slice(request).ok()?;
    let users = request["variables"]["users"].as_array()?.iter().filter_map(Value::as_str);
    Some(users.collect::<Vec<_>>().join(","))
}
