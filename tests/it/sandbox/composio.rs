//! Emulated Composio: every filter in every form, orders, pages, errors, and properties of the data.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::Value;
use switchboard::sandbox::{Account, CANARY, ComposioPlan, CursorKind, Settings, TOOLKITS, Tenant};

use super::{SandboxClient, document, strings_at};

fn set_of(words: Vec<String>) -> BTreeSet<String> {
    words.into_iter().collect()
}

/// Reads the list to its end.
async fn read_all(sandbox_client: &SandboxClient, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = sandbox_client.list(&format!("{query}&cursor={cursor}")).await.json();
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = url::form_urlencoded::byte_serialize(next.as_bytes()).collect(),
            None => return all,
        }
    }
}

#[tokio::test]
async fn stub_key_returns_the_example_documents() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let stub = [("x-api-key", "ak_sandbox_stub")];
    let list = sandbox_client.get("/api/v3/connected_accounts?limit=1", &stub).await;
    assert_eq!(list.json(), document("composio-list"));
    let error = sandbox_client.get("/api/v3/connected_accounts/ca_any", &stub).await;
    assert_eq!((error.status, error.json()), (StatusCode::NOT_FOUND, document("composio-error")));
}

#[tokio::test]
async fn both_api_versions_and_key_types_return_the_same() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let v3 = sandbox_client.get("/api/v3/connected_accounts", &[("x-api-key", "ak_sandbox_a")]).await.json();
    let v31 = sandbox_client
        .get("/api/v3.1/connected_accounts", &[("x-user-api-key", "ak_sandbox_a")])
        .await
        .json();
    assert_eq!(v3, v31);
    assert_eq!(v3["items"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn every_filter_is_applied() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let ids = strings_at(&sandbox_client.items("limit=3").await, "id").join(",");
    let cases = [
        ("toolkit_slugs=gmail%2Cslack", "toolkit.slug", "gmail,slack"),
        ("statuses=EXPIRED%2CREVOKED", "status", "EXPIRED,REVOKED"),
        ("user_ids=user_0%2Cuser_7", "user_id", "user_0,user_7"),
        ("auth_config_ids=ac_stripe%2Cac_zoom", "auth_config.id", "ac_stripe,ac_zoom"),
        (&format!("connected_account_ids={ids}"), "id", &ids),
    ];
    for (query, path, expected) in cases {
        let expected: BTreeSet<_> = expected.split(',').map(str::to_owned).collect();
        assert_eq!(
            set_of(strings_at(&sandbox_client.items(&format!("{query}&limit=100")).await, path)),
            expected,
            "{query}"
        );
    }
    let both = sandbox_client.items("toolkit_slugs=gmail&user_ids=user_0,user_20,user_21&limit=100").await;
    assert_eq!(set_of(strings_at(&both, "toolkit.slug")), set_of(vec!["gmail".to_owned()]));
    assert_eq!(sandbox_client.items("auth_config_ids=gmail").await, [] as [Value; 0]);
}

#[tokio::test]
async fn arrays_have_three_forms() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let expected = sandbox_client.items("toolkit_slugs=gmail%2Cslack").await;
    assert_eq!(expected.len(), 20);
    for query in [
        "toolkit_slugs=gmail&toolkit_slugs=slack",
        "toolkit_slugs[]=gmail&toolkit_slugs[]=slack",
        "toolkit_slugs%5B%5D=gmail,slack",
        "toolkit_slugs=gmail,slack&statuses=&user_ids=&cursor=&limit=&order_by=&account_type=",
        "toolkit_slugs=,gmail,,slack&limit=20.0",
    ] {
        assert_eq!(sandbox_client.items(query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn plus_is_a_space() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let time = sandbox_client.sandbox.accounts(Tenant::A)[0].created_at;
    sandbox_client
        .sandbox
        .change_accounts(Tenant::A, |rows| rows.push(Account::new("ca_new", "gmail", "a b", time)));
    for query in ["user_ids=a+b", "user_ids=a%20b"] {
        assert_eq!(strings_at(&sandbox_client.items(query).await, "id"), ["ca_new"]);
    }
}

#[tokio::test]
async fn orders_differ_and_reverse() {
    let sandbox_client = SandboxClient::new(Settings::default());
    for field in ["created_at", "updated_at"] {
        let down = read_all(&sandbox_client, &format!("limit=100&order_by={field}")).await;
        let mut up =
            read_all(&sandbox_client, &format!("limit=100&order_by={field}&order_direction=asc")).await;
        assert!(strings_at(&up, field).is_sorted(), "{field}");
        up.reverse();
        assert_eq!(up, down, "{field}");
    }
    let created = sandbox_client.items("limit=50").await;
    assert_ne!(created, sandbox_client.items("limit=50&order_by=updated_at").await);
    assert_eq!(created[0]["created_at"], "2026-04-17T10:00:00.000Z");
}

#[tokio::test]
async fn equal_times_span_a_page_boundary() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let times = strings_at(&read_all(&sandbox_client, "limit=100").await, "created_at");
    assert_eq!(times[99], times[100]);
    assert_eq!(times[49], times[50]);
}

#[tokio::test]
async fn paging_by_either_cursor_returns_every_account_once() {
    for cursor in [CursorKind::Page, CursorKind::Keyset] {
        let sandbox_client = SandboxClient::new(Settings { cursor, ..Settings::default() });
        for query in ["limit=7", "limit=100&order_by=updated_at&order_direction=asc", "account_type=ALL"] {
            let found = strings_at(&read_all(&sandbox_client, query).await, "id");
            let expected = if query.contains("ALL") { 400 } else { 384 };
            assert_eq!((found.len(), set_of(found).len()), (expected, expected), "{cursor:?} {query}");
        }
    }
}

#[tokio::test]
async fn inserted_rows_shift_page_cursors_but_not_keyset_cursors() {
    for (cursor, repeated) in [(CursorKind::Page, 1), (CursorKind::Keyset, 0)] {
        let sandbox_client = SandboxClient::new(Settings { cursor, ..Settings::default() });
        let first = sandbox_client.list("limit=5").await.json();
        let time = sandbox_client.sandbox.accounts(Tenant::A)[0].created_at;
        sandbox_client.sandbox.change_accounts(Tenant::A, |rows| {
            let later = time + jiff::SignedDuration::from_secs(60);
            rows.push(Account::new("ca_later", "gmail", "user_0", later));
        });
        let next: String =
            url::form_urlencoded::byte_serialize(first["next_cursor"].as_str().unwrap().as_bytes()).collect();
        let second = sandbox_client.items(&format!("limit=5&cursor={next}")).await;
        let first = set_of(strings_at(first["items"].as_array().unwrap(), "id"));
        let again = strings_at(&second, "id").iter().filter(|id| first.contains(*id)).count();
        assert_eq!(again, repeated, "{cursor:?}");
    }
}

#[tokio::test]
async fn page_has_position_and_total() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let page = sandbox_client.list("limit=500").await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 100, "the limit is clamped silently");
    assert_eq!([&page["total_items"], &page["total_pages"], &page["current_page"]], [384, 4, 1]);
    let none = sandbox_client.list("user_ids=unknown").await.json();
    assert_eq!(none["next_cursor"], Value::Null);
    assert_eq!([&none["total_items"], &none["total_pages"]], [0, 0]);
}

#[tokio::test]
async fn invalid_query_lists_every_problem() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let query = "limit=0&order_by=name&order_direction=up&statuses=ACTIVE,DEAD&account_type=MINE";
    let answer = sandbox_client.list(query).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let error = &answer.json()["error"];
    assert_eq!(error["errors"].as_array().unwrap().len(), 5);
    assert_eq!(error["status"], 400);
    for field in ["message", "slug", "request_id", "suggested_fix"] {
        assert!(error[field].is_string(), "{field}");
    }
    for query in [
        "limit=2.5",
        "limit=-1",
        "limit=many",
        "limit=NaN",
        "cursor=bogus",
        "cursor=MSwy,",
        "cursor=MCwyMA==",
    ] {
        assert_eq!(sandbox_client.list(query).await.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn keyset_cursor_is_bound_to_its_order() {
    let sandbox_client = SandboxClient::new(Settings { cursor: CursorKind::Keyset, ..Settings::default() });
    let page = sandbox_client.list("limit=5").await.json();
    let cursor: String =
        url::form_urlencoded::byte_serialize(page["next_cursor"].as_str().unwrap().as_bytes()).collect();
    let other = sandbox_client.list(&format!("limit=5&order_direction=asc&cursor={cursor}")).await;
    assert_eq!(other.status, StatusCode::BAD_REQUEST);
    assert_eq!(other.json()["error"]["errors"][0], "cursor: invalid");
}

#[tokio::test]
async fn shared_accounts_are_listed_only_on_request() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let shared = sandbox_client.items("account_type=SHARED&limit=100").await;
    assert_eq!(shared.len(), 16);
    assert_eq!(set_of(strings_at(&shared, "experimental.account_type")), set_of(vec!["SHARED".to_owned()]));
    let private =
        set_of(strings_at(&read_all(&sandbox_client, "account_type=PRIVATE&limit=100").await, "id"));
    assert_eq!(private, set_of(strings_at(&read_all(&sandbox_client, "limit=100").await, "id")));
    assert!(strings_at(&shared, "id").iter().all(|id| !private.contains(id)));
    let id = &strings_at(&shared, "id")[0];
    assert_eq!(sandbox_client.items(&format!("connected_account_ids={id}&account_type=ALL")).await.len(), 1);
}

#[tokio::test]
async fn single_account_has_more_fields_than_a_list_item() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let item = sandbox_client.items("limit=1").await.remove(0);
    let key = [("x-api-key", "ak_sandbox_a")];
    let target = format!("/api/v3/connected_accounts/{}", item["id"].as_str().unwrap());
    let mut one = sandbox_client.get(&target, &key).await.json();
    assert!(one["params"].to_string().contains("CANARY-params"));
    let fields = one.as_object_mut().unwrap();
    for field in ["params", "requested_scopes", "requested_user_scopes"] {
        fields.remove(field);
    }
    assert_eq!(one, item);

    let missing = sandbox_client.get("/api/v3/connected_accounts/ca_missing", &key).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.json()["error"]["slug"], "ConnectedAccount_ResourceNotFound");
    let other = sandbox_client.get(&target, &[("x-api-key", "ak_sandbox_b")]).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND, "another tenant's account is not found");
}

#[tokio::test]
async fn responses_have_rate_limit_headers() {
    let sandbox_client =
        SandboxClient::new(Settings { composio_plan: ComposioPlan::Hobby, ..Settings::default() });
    for spent in 1..=2_000_u32 {
        let answer = sandbox_client.list("user_ids=unknown").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("x-ratelimit"), Some("2000"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some((2_000 - spent).to_string().as_str()));
        assert_eq!(answer.header("x-ratelimit-window-size"), Some("60s"));
        assert_eq!(answer.header("retry-after"), None);
    }
    sandbox_client.advance(20);
    let refused = sandbox_client.list("").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), Some("40"));
    assert!(
        refused.json()["message"].as_str().unwrap().starts_with("Rate limit exceeded. Limit: 2000 requests")
    );
    sandbox_client.advance(40);
    assert_eq!(sandbox_client.list("").await.status, StatusCode::OK);

    let unknown = sandbox_client.get("/api/v3/connected_accounts", &[("x-api-key", "wrong")]).await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
    assert_eq!(unknown.json()["error"]["slug"], "HTTP_Unauthorized");
    assert!(unknown.header("x-ratelimit").is_some());
}

#[tokio::test]
async fn accounts_are_distributed_evenly() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let slugs: BTreeSet<String> = TOOLKITS.iter().map(|(slug, _)| (*slug).to_owned()).collect();
    for query in ["limit=20", "limit=20&account_type=ALL"] {
        assert_eq!(set_of(strings_at(&sandbox_client.items(query).await, "toolkit.slug")), slugs, "{query}");
    }
    let mut counts = BTreeMap::<String, u32>::new();
    for slug in strings_at(&sandbox_client.items("limit=100").await, "toolkit.slug") {
        *counts.entry(slug).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count == 5), "{counts:?}");

    let all = read_all(&sandbox_client, "account_type=ALL&limit=100").await;
    assert_eq!(all.len(), 400);
    let (statuses, schemes) =
        (set_of(strings_at(&all, "status")), set_of(strings_at(&all, "auth_config.auth_scheme")));
    assert_eq!((statuses.len(), schemes.len()), (8, 15), "{statuses:?} {schemes:?}");
    assert!(statuses.contains("QUARANTINED") && schemes.contains("CIMD_OAUTH"));
    assert_eq!(set_of(strings_at(&all, "user_id")).len(), 50);
    let words: Vec<_> = strings_at(&all, "word_id").into_iter().filter(|word| word != "?").collect();
    assert_eq!(set_of(words.clone()).len(), words.len());
}

#[tokio::test]
async fn status_can_disagree_with_the_auth_scheme_state() {
    let sandbox_client = SandboxClient::new(Settings { accounts: 2_000, ..Settings::default() });
    for (toolkit, status, inner) in [
        ("whatsapp", "EXPIRED", "ACTIVE"),
        ("gmail", "EXPIRED", "EXPIRED"),
        ("gmail", "REVOKED", "REVOKED"),
        ("paypal", "REVOKED", "ACTIVE"),
        ("paypal", "INITIATED", "INITIATED"),
    ] {
        let items =
            sandbox_client.items(&format!("toolkit_slugs={toolkit}&statuses={status}&limit=100")).await;
        let inners = set_of(strings_at(&items, "state.val.status"));
        assert_eq!(inners, set_of(vec![inner.to_owned()]), "{toolkit} {status}");
        assert!(items.iter().all(|item| item["status_reason"].is_string() == (status != "INITIATED")));
    }
}

#[tokio::test]
async fn skewed_accounts_fill_pages_with_one_toolkit() {
    let sandbox_client = SandboxClient::new(Settings { skew: true, ..Settings::default() });
    let accounts = sandbox_client.sandbox.accounts(Tenant::A);
    assert!(accounts.len() >= 10_000);
    let newest = sandbox_client.list("limit=100&cursor=MzAsMTAw").await.json();
    assert_eq!(newest["current_page"], 30);
    let slugs = set_of(strings_at(newest["items"].as_array().unwrap(), "toolkit.slug"));
    assert_eq!(slugs, set_of(vec!["gmail".to_owned()]));
    for (slug, _) in TOOLKITS {
        let total =
            sandbox_client.list(&format!("toolkit_slugs={slug}&limit=1")).await.json()["total_items"].clone();
        assert!(total.as_u64().unwrap() >= 350, "{slug}: {total}");
    }
}

#[tokio::test]
async fn a_hundred_thousand_accounts_have_distinct_ids() {
    let sandbox_client = SandboxClient::new(Settings { accounts: 100_000, ..Settings::default() });
    let accounts = sandbox_client.sandbox.accounts(Tenant::A);
    let ids: BTreeSet<_> = accounts.iter().map(|account| account.id.as_str()).collect();
    assert_eq!(ids.len(), 100_000);
    assert!(ids.iter().all(|id| id.len() == 15 && id.starts_with("ca_")));
    let small = SandboxClient::new(Settings::default());
    assert_eq!(
        small.items("limit=1").await[0]["id"],
        sandbox_client.items("limit=1").await[0]["id"],
        "ids are stable"
    );
    assert_eq!(sandbox_client.list("limit=1").await.json()["total_items"], 96_000);
}

#[tokio::test]
async fn tenants_share_neither_ids_nor_users_nor_auth_configs() {
    let sandbox_client = SandboxClient::new(Settings::default());
    let b = sandbox_client
        .get("/api/v3/connected_accounts?limit=100&account_type=ALL", &[("x-api-key", "ak_sandbox_b")])
        .await;
    let b = b.json()["items"].as_array().unwrap().clone();
    let a = read_all(&sandbox_client, "limit=100&account_type=ALL").await;
    assert_eq!((a.len(), b.len()), (400, 100));
    for path in ["id", "user_id", "auth_config.id"] {
        assert!(set_of(strings_at(&a, path)).is_disjoint(&set_of(strings_at(&b, path))), "{path}");
    }
}

/// The secret fields of docs/upstreams.md#composio-secrets, and the fields that may be shown.
const SECRET: &str = "oauth_token oauth_token_secret oauth_verifier consumer_key access_token refresh_token id_token \
    extra_token_data code_verifier webhook_signature client_secret client_id generic_api_key api_key bearer_token \
    basic_encoded token username password credentials_json private_key application_id installation_id sessionId devKey \
    proxy_username proxy_password registration_access_token registration_client_uri redirectUrl authUri callbackUrl \
    callback_url finalRedirectUri composio_link_redirect_url state_prefix data params allowed_user_ids \
    not_allowed_user_ids vendor_session";
const SHOWN: &str = "id alias word_id slug auth_scheme is_composio_managed is_disabled status status_reason created_at \
    updated_at account_type authScheme scope token_type expires_in expires_at expired_at revoked_at \
    client_id_issued_at client_secret_expires_at long_redirect_url error user_id account_id subdomain your-domain shop \
    domain site_name instanceName COMPANYDOMAIN region dc version extension server_location your_server base_url \
    api_url account_url instanceEndpoint form_api_base_url borneo_dashboard_url displayName error_description \
    test_request_endpoint labels uuid allow_all_users";

#[tokio::test]
async fn only_secret_fields_have_a_canary() {
    let sandbox_client = SandboxClient::new(Settings { accounts: 2_000, ..Settings::default() });
    let mut found = BTreeMap::<String, bool>::new();
    let mut all = read_all(&sandbox_client, "limit=100&account_type=ALL").await;
    let id = all[0]["id"].as_str().unwrap().to_owned();
    let one = sandbox_client
        .get(&format!("/api/v3/connected_accounts/{id}"), &[("x-api-key", "ak_sandbox_a")])
        .await;
    all.push(one.json());
    for item in &all {
        leaves(item, None, &mut found);
    }
    found.retain(|field, _| !field.starts_with("requested_"));
    let marked = |words: &str, marked: bool| {
        words.split_whitespace().map(|w| (w.to_owned(), marked)).collect::<Vec<_>>()
    };
    let expected: BTreeMap<_, _> =
        [marked(SECRET, true), marked(SHOWN, false)].concat().into_iter().collect();
    assert_eq!(found, expected);
}

/// Records for each field whether its values have a canary. A field whose whole object is secret counts as
/// one.
fn leaves(value: &Value, field: Option<&str>, found: &mut BTreeMap<String, bool>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let whole = field.filter(|field| ["data", "params", "extra_token_data"].contains(field));
                leaves(value, whole.or(Some(name)), found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| leaves(value, field, found)),
        Value::Null => {}
        value => {
            let field = field.expect("a field");
            let marked = value.as_str().is_some_and(|text| text.contains(&format!("{CANARY}{field}-")));
            assert!(marked || !value.to_string().contains(CANARY), "{field}: {value}");
            assert_eq!(*found.entry(field.to_owned()).or_insert(marked), marked, "{field}: {value}");
        }
    }
}
