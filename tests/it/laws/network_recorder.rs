//! A network wrapper between the engine and the sandbox that records responses or replaces them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

/// A response: status and JSON.
pub(super) type JsonResponse = (StatusCode, Value);

/// A network whose responses pass through `change`, together with the query of their request.
pub(super) fn intercept(
    network: Network,
    change: impl Fn(&str, JsonResponse) -> JsonResponse + Send + Sync + 'static,
) -> Network {
    let change = Arc::new(change);
    BoxCloneSyncService::new(service_fn(move |request: http::Request<Bytes>| {
        let (network, change) = (network.clone(), Arc::clone(&change));
        async move {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (mut head, body) = network.oneshot(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            let body_json = serde_json::from_slice(&body).unwrap_or_default();
            let (status, body_json) = change(&query, (head.status, body_json));
            head.status = status;
            let body = Full::new(Bytes::from(body_json.to_string()));
            Ok::<_, BoxError>(http::Response::from_parts(
                head,
                body.map_err(|never| match never {}).boxed_unsync(),
            ))
        }
    }))
}

/// The upstream's pages as last returned, by list and cursor.
#[derive(Clone, Default)]
pub(super) struct LastPages(Arc<Mutex<HashMap<String, Pages>>>);

/// The pages of one list by their cursors.
type Pages = HashMap<Option<String>, LastPage>;

struct LastPage {
    ids: Vec<String>,
    next_cursor: Option<String>,
}

impl LastPages {
    pub(super) fn on(&self, network: Network) -> Network {
        let heard = self.clone();
        intercept(network, move |query, (status, page)| {
            let parameters = url::form_urlencoded::parse(query.as_bytes()).into_owned();
            let (cursors, list): (Vec<_>, Vec<_>) = parameters.partition(|(name, _)| name == "cursor");
            let cursor = cursors.into_iter().next().map(|(_, cursor)| cursor);
            let mut pages = heard.0.lock().unwrap();
            pages.entry(format!("{list:?}")).or_default().insert(cursor, LastPage::new(&page));
            drop(pages);
            (status, page)
        })
    }

    /// Whether some page, as last returned, has this account. A page counts only if the pages before it lead to it. The
    /// upstream no longer returns the others, because the list is shorter.
    pub(super) fn holds(&self, id: &str) -> bool {
        self.0.lock().unwrap().values().any(|pages| holds(pages, id))
    }
}

fn holds(pages: &Pages, id: &str) -> bool {
    let mut cursor = None;
    while let Some(page) = pages.get(&cursor) {
        if page.ids.iter().any(|own| own == id) {
            return true;
        }
        let Some(next) = &page.next_cursor else { return false };
        cursor = Some(next.clone());
    }
    false
}

impl LastPage {
    fn new(page: &Value) -> Self {
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ids = items.iter().filter_map(|item| item["id"].as_str()).map(str::to_owned).collect();
        Self { ids, next_cursor: page["next_cursor"].as_str().map(str::to_owned) }
    }
}
