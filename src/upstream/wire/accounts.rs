//! `{"items": [{…}], "next_cursor": …, "total_items": …}` (UPSTREAMS.md A3).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::connection_state::State;
use super::lenient::{Text, Texts};
use super::{NotThatShape, items, object};
use crate::domain::accounts::{AccountType, AuthConfig, ConnectedAccount, LegacyAccount};
use crate::domain::upstream_name::UpstreamName;
use crate::domain::vocabulary::Word;
use crate::upstream::accounts::AccountPage;

/// The longest cursor that is taken, in bytes. It goes into cache keys, into the URL of the next call and, whole,
/// into the cursors that clients get. Those seen are under 100 bytes.
const CURSOR_BYTES_MAX: usize = 4 * 1024;

#[derive(Deserialize)]
struct Page<'j> {
    #[serde(borrow)]
    items: Vec<&'j RawValue>,
    #[serde(default)]
    next_cursor: Text,
    /// A JSON number, `3.0` from some versions.
    total_items: Option<f64>,
}

#[derive(Deserialize)]
struct Account {
    id: Box<str>,
    toolkit: Toolkit,
    auth_config: WireAuthConfig,
    status: Box<str>,
    #[serde(default)]
    word_id: Text,
    #[serde(default)]
    alias: Text,
    #[serde(default)]
    user_id: Text,
    #[serde(default)]
    status_reason: Text,
    is_disabled: Option<bool>,
    #[serde(default)]
    created_at: Text,
    #[serde(default)]
    updated_at: Text,
    state: Option<State>,
    experimental: Option<Experimental>,
    #[serde(default)]
    test_request_endpoint: Text,
    deprecated: Option<Deprecated>,
}

#[derive(Deserialize)]
struct Toolkit {
    slug: Box<str>,
}

#[derive(Deserialize)]
struct WireAuthConfig {
    id: Box<str>,
    #[serde(default)]
    auth_scheme: Text,
    is_composio_managed: Option<bool>,
    is_disabled: Option<bool>,
    deprecated: Option<DeprecatedAuthConfig>,
}

#[derive(Deserialize)]
struct DeprecatedAuthConfig {
    #[serde(default)]
    uuid: Text,
}

#[derive(Deserialize)]
struct Experimental {
    #[serde(default)]
    account_type: Text,
}

#[derive(Deserialize)]
struct Deprecated {
    #[serde(default)]
    uuid: Text,
    #[serde(default)]
    labels: Texts,
}

/// Reads a page, without the items that cannot be read. A page whose cursor is too long is none: without the
/// cursor the list would end there in silence.
pub(in crate::upstream) fn page(body: &[u8]) -> Result<AccountPage, NotThatShape> {
    let json = std::str::from_utf8(body).map_err(|_| NotThatShape)?;
    let page: Page<'_> = object(json).ok_or(NotThatShape)?;
    let next_cursor = page.next_cursor.0.filter(|cursor| !cursor.is_empty());
    if next_cursor.as_ref().is_some_and(|cursor| cursor.len() > CURSOR_BYTES_MAX) {
        return Err(NotThatShape);
    }
    let items = items(UpstreamName::Composio, "items", &page.items, |json| account(object(json)?));
    Ok(AccountPage {
        items,
        rows_sent: page.items.len(),
        next_cursor,
        total_items: page.total_items.and_then(count),
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
fn count(number: f64) -> Option<u64> {
    (0.0..9e15).contains(&number).then_some(number as u64)
}

fn account(wire: Account) -> Option<Arc<ConnectedAccount>> {
    if wire.id.is_empty() {
        return None;
    }
    let scheme = wire.auth_config.auth_scheme.0.unwrap_or_default();
    let state = wire.state.unwrap_or_default().read(&scheme);
    Some(Arc::new(ConnectedAccount {
        id: wire.id,
        toolkit: wire.toolkit.slug,
        auth_config: AuthConfig {
            id: wire.auth_config.id,
            auth_scheme: if scheme.is_empty() { state.auth_scheme.clone() } else { Word::read(&scheme) },
            is_composio_managed: wire.auth_config.is_composio_managed.unwrap_or(false),
            is_disabled: wire.auth_config.is_disabled.unwrap_or(false),
            legacy_uuid: wire.auth_config.deprecated.and_then(|deprecated| deprecated.uuid.0),
        },
        word_id: wire.word_id.0,
        alias: wire.alias.0,
        user_id: wire.user_id.0.filter(|id| !id.is_empty()),
        status: Word::read(&wire.status),
        status_reason: wire.status_reason.0,
        is_disabled: wire.is_disabled.unwrap_or(false),
        account_type: wire.experimental.and_then(|block| match block.account_type.0.as_deref() {
            Some("PRIVATE") => Some(AccountType::Private),
            Some("SHARED") => Some(AccountType::Shared),
            _ => None,
        }),
        created_at: wire.created_at.moment(),
        updated_at: wire.updated_at.moment(),
        state,
        test_request_endpoint: wire.test_request_endpoint.0,
        legacy: wire.deprecated.and_then(|deprecated| {
            Some(LegacyAccount { uuid: deprecated.uuid.0?, labels: deprecated.labels.0 })
        }),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: &str =
        r#"{"id":"ca_1","toolkit":{"slug":"gmail"},"auth_config":{"id":"ac_1"},"status":"ACTIVE"}"#;

    #[test]
    fn an_item_with_nothing_but_what_it_must_have_is_read() {
        let page = page(format!(r#"{{"items":[{ITEM}],"total_items":3.0}}"#).as_bytes()).unwrap();
        assert_eq!(
            (page.items.len(), page.rows_sent, page.next_cursor, page.total_items),
            (1, 1, None, Some(3))
        );
        assert_eq!(page.items[0].auth_config.auth_scheme.raw(), "");
    }

    #[test]
    fn an_optional_list_that_is_null_costs_itself_alone() {
        let item = ITEM.replacen('{', r#"{"deprecated":{"uuid":"u","labels":null},"#, 1);
        let page = page(format!(r#"{{"items":[{item}]}}"#).as_bytes()).unwrap();
        assert_eq!(&*page.items[0].legacy.as_ref().unwrap().uuid, "u");
    }

    #[test]
    fn one_bad_item_costs_itself_alone() {
        let bad = [
            r#"{"id":3}"#,
            "[]",
            "null",
            r#"{"id":"","toolkit":{"slug":"a"},"auth_config":{"id":"b"},"status":"ACTIVE"}"#,
        ];
        for bad in bad {
            let page = page(format!(r#"{{"items":[{bad},{ITEM}],"next_cursor":""}}"#).as_bytes()).unwrap();
            assert_eq!((page.items.len(), page.rows_sent, page.next_cursor), (1, 2, None), "{bad}");
        }
    }

    #[test]
    fn a_cursor_is_taken_up_to_four_kibibytes_and_no_page_ends_for_one_that_is_longer() {
        let with =
            |bytes| page(format!(r#"{{"items":[],"next_cursor":"{}"}}"#, "c".repeat(bytes)).as_bytes());
        assert_eq!(with(4_096).unwrap().next_cursor.unwrap().len(), 4_096);
        assert!(with(4_097).is_err());
    }

    #[test]
    fn what_is_no_page_is_refused_whole() {
        for body in [
            "",
            "<html></html>",
            "[]",
            "{}",
            r#"{"items":{}}"#,
            r#"{"items":["#,
            r#"{"items":[],"total_items":"many"}"#,
        ] {
            assert!(page(body.as_bytes()).is_err(), "{body}");
        }
    }
}
