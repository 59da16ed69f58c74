//! Tests of the stored format of shared values, compared character by character.
//!
//! Replicas of the previous version read the same store. A change of the format must therefore raise
//! `VERSION`. Further tests cover the allow list, the problem reports and the encryption.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

use super::seal::{Opened, Seal, VERSION};
use crate::config::{ApiKeys, ConfigSources};
use crate::domain::clock::Clock;
use crate::domain::connection_state::PUBLIC_SETTINGS;
use crate::domain::credential::Credential;
use crate::domain::filters::{AccountFilter, AccountOrder};
use crate::domain::problems::{ProblemLocation, ProblemRule, Problems};
use crate::domain::upstream_name::{Composio, Leadlex, UpstreamName};
use crate::loaders::lists::scan::Page;
use crate::upstream::accounts::{AccountPage, AccountsClient};
use crate::upstream::quota::Purpose;
use crate::upstream::transport::Transport;

/// Returns the page that the accounts client reads from a response body.
async fn read(body: String) -> AccountPage {
    let network = service_fn(move |_: http::Request<bytes::Bytes>| {
        let body = http_body_util::Full::from(body.clone()).map_err(BoxError::from).boxed_unsync();
        std::future::ready(Ok::<_, BoxError>(http::Response::new(body)))
    });
    let settings =
        crate::config::Config::load(ConfigSources { keys: ApiKeys::Optional, ..ConfigSources::default() })
            .unwrap();
    let clock = Clock::starting_at("2026-11-21T12:00:00Z".parse().unwrap());
    let settings = settings.upstream.composio;
    let transport =
        Transport::new(UpstreamName::Composio, settings, BoxCloneSyncService::new(network), clock);
    let (key, filter) = (Credential::new("ak_a").unwrap(), AccountFilter::default());
    let client = AccountsClient::new(transport);
    client.fetch_page(&key, &filter, AccountOrder::NEWEST_FIRST, None, 100, Purpose::Needed).await.unwrap()
}

/// Returns a page whose first account has every readable field, and fields that must not be read.
async fn page() -> Page {
    let item = json!({
        "id": "ca_1", "toolkit": { "slug": "gmail" }, "word_id": "w", "alias": "a", "user_id": "u",
        "auth_config": { "id": "ac_1", "auth_scheme": "OAUTH2", "is_composio_managed": true, "is_disabled": false,
            "deprecated": { "uuid": "old" } },
        "status": "PAUSED", "status_reason": "r", "is_disabled": false, "created_at": "2026-11-21T12:00:00.123456Z",
        "updated_at": "not a moment", "experimental": { "account_type": "SHARED" }, "test_request_endpoint": "t",
        "deprecated": { "uuid": "o", "labels": ["l"] },
        "state": { "authScheme": "OAUTH2", "val": { "status": "ACTIVE", "scope": ["s"], "token_type": "b",
            "expires_at": "2026-11-22T12:00:00Z", "error": "e", "error_description": "d", "region": "eu",
            "access_token": "CANARY-access_token", "refresh_token": "CANARY-refresh_token" } },
        "data": { "access_token": "CANARY-data" }, "params": { "access_token": "CANARY-params" },
    });
    let body = json!({ "items": [item, { "id": "ca_2" }], "next_cursor": "n", "total_items": 2 }).to_string();
    let read = read(body).await;
    Page {
        items: read.items,
        rows_received: read.rows_received,
        next_cursor: read.next_cursor.map(Into::into),
        has_unreadable_cursor: read.has_unreadable_cursor,
        total_items: read.total_items,
        problems: read.problems.reports(),
        ..Page::default()
    }
}

const WRITTEN: &str = r#"{"items":[{"id":"ca_1","user_id":"u","toolkit":"gmail","status":"PAUSED","created_at":"2026-11-21T12:00:00.123456Z","account_type":"Shared","is_disabled":false,"auth_config":{"id":"ac_1","auth_scheme":"OAUTH2","is_composio_managed":true,"is_disabled":false,"legacy_uuid":"old"},"word_id":"w","alias":"a","status_reason":"r","updated_at":null,"state":{"auth_scheme":"OAUTH2","status":"ACTIVE","scopes":["s"],"token_type":"b","expires_at":"2026-11-22T12:00:00Z","expired_at":null,"revoked_at":null,"error":"e","error_description":"d","settings":[{"name":"region","value":"eu"}],"withheld":["access_token","refresh_token"]},"test_request_endpoint":"t","legacy":{"uuid":"o","labels":["l"]}}],"rows_received":2,"rows_filtered_out":0,"next_cursor":"n","has_unreadable_cursor":false,"lacks_users":false,"total_items":2,"problems":[{"upstream":"COMPOSIO","located":[[0,"updated_at","unreadable_timestamp",1],[1,"toolkit","missing",1]],"counts":[["missing",1],["unreadable_timestamp",1]]}]}"#;

#[tokio::test]
async fn the_stored_format_is_that_of_this_version_and_has_no_secret() {
    let written = serde_json::to_string(&page().await).unwrap();
    assert_eq!(
        written, WRITTEN,
        "raise `VERSION` unless only the order has changed, and change this text with it"
    );
    assert_eq!(VERSION, 2);
    assert!(!written.contains("CANARY"));
    let mut read: Page = serde_json::from_str(&written).unwrap();
    // The weight is not stored.
    read.items.iter_mut().for_each(|account| Arc::get_mut(account).unwrap().weigh());
    assert_eq!(format!("{read:?}"), format!("{:?}", page().await));
}

#[test]
fn a_stored_page_with_an_unknown_field_or_setting_is_refused() {
    let mut written: Value = serde_json::from_str(WRITTEN).unwrap();
    written["items"][0]["state"]["settings"][0]["name"] = json!("access_token");
    assert!(serde_json::from_value::<Page>(written.clone()).is_err());
    for (name, _) in PUBLIC_SETTINGS {
        written["items"][0]["state"]["settings"][0]["name"] = json!(name);
        assert!(serde_json::from_value::<Page>(written.clone()).is_ok(), "{name}");
    }
    written["items"][0]["token"] = json!("x");
    assert!(serde_json::from_value::<Page>(written).is_err());
}

#[tokio::test]
async fn every_problem_location_has_a_known_name() {
    // In this account, every field that can be of a wrong type is.
    let wrong = json!({ "id": "ca", "toolkit": { "slug": "x" }, "auth_config": { "id": "ac", "auth_scheme": [], "deprecated": { "uuid": [] } },
        "status": "ACTIVE", "word_id": [], "alias": [], "user_id": [], "status_reason": [], "created_at": 1, "updated_at": 1,
        "test_request_endpoint": [], "experimental": { "account_type": [] }, "deprecated": { "uuid": "u", "labels": [[]] },
        "state": { "authScheme": [], "val": { "status": [], "scope": {}, "token_type": [], "region": [], "error": [] } } });
    let body = json!({ "items": [wrong] }).to_string();
    let problems = read(body).await.problems;
    let located: Vec<_> = problems.located().collect();
    // Each of these fields is one problem.
    assert!(located.len() > 15, "{located:?}");
    // Reading drops a location whose field has no known name, so equality shows that all have one.
    let read: Problems = serde_json::from_str(&serde_json::to_string(&problems).unwrap()).unwrap();
    assert_eq!(read, problems);
}

#[test]
fn a_problem_at_an_unknown_location_is_still_counted() {
    let unknown =
        r#"{"upstream":"LEADLEX","located":[[1,"brand_new","missing",2]],"counts":[["missing",2]]}"#;
    let mut counted = Problems::none(UpstreamName::Leadlex);
    counted.note(ProblemLocation::SEVERAL_ROWS, ProblemRule::Missing, 2);
    let read: Problems = serde_json::from_str(unknown).unwrap();
    assert_eq!((read.located().count(), read.rows_left_out()), (0, counted.rows_left_out()));
}

#[test]
fn a_value_is_decrypted_only_with_its_credential_its_cache_key_and_its_generation() {
    let seal =
        |api_key: &str| Seal::of("prefix", &Credential::<Composio>::new(api_key).unwrap().fingerprint());
    let (own, other) = (seal("ak_a"), seal("ak_b"));
    let leadlex = Seal::of("prefix", &Credential::<Leadlex>::new("ak_a").unwrap().fingerprint());
    let cache_key = own.key("page", "first");
    // Each invalidation of a credential's entries changes its generation, so that earlier values are outdated.
    let written = own.close(&cache_key, [1; 8], &"value").unwrap();
    let opens = |seal: &Seal, cache_key: &str, generation| match seal
        .open::<Arc<str>>(cache_key, generation, &written)
    {
        Opened::Value(value) => Some(value),
        Opened::Outdated | Opened::Unreadable => None,
    };
    assert_eq!(opens(&own, &cache_key, [1; 8]).as_deref(), Some("value"));
    assert_eq!(opens(&own, &cache_key, [2; 8]), None);
    assert_eq!(opens(&own, &own.key("page", "second"), [1; 8]), None);
    assert_eq!(opens(&other, &cache_key, [1; 8]), None);
    assert_eq!(opens(&leadlex, &cache_key, [1; 8]), None);
    assert_ne!(own.key("page", "first"), other.key("page", "first"));
    assert_ne!(own.key_of_generation(), other.key_of_generation());
    assert_ne!(own.close(&cache_key, [1; 8], &"value").unwrap(), written, "a nonce is used once");
}
