//! A bare axum handler that returns the same bytes as Switchboard: the upper limit for the hot row.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use tokio::net::TcpListener;

pub(crate) async fn serve(listen: SocketAddr, file: &Path) -> anyhow::Result<()> {
    let bytes = Bytes::from(std::fs::read(file)?);
    // Reads the request body, as any server must.
    let answer = move |_asked: Bytes| async move { ([(CONTENT_TYPE, "application/json")], bytes) };
    let routes = Router::new().route("/graphql", post(answer));
    axum::serve(TcpListener::bind(listen).await?, routes).await?;
    Ok(())
}
