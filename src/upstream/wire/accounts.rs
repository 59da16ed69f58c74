//! Decodes `{"items": [{…}], "next_cursor": …, "total_items": …}` (docs/upstreams.md#composio-account).

use std::cell::Cell;
use std::sync::Arc;

use jiff::Timestamp;

use super::connection_state::WireState;
use super::json::{self, JsonError, JsonReader, KnownRows};
use super::lenient::{Count, Field, FromJson, Identifier, PageCursor, Text, Texts, json_object};
use super::rows::{FieldProblem, FieldProblems, Rows, read_row};
use super::{UnexpectedShape, text};
use crate::domain::accounts::{
    AccountStatus, AccountType, AuthConfig, ConnectedAccount, LegacyAccount, SharedAccount,
};
use crate::domain::open_enum::OpenValue;
use crate::domain::problems::{ProblemLocation, ProblemRule};
use crate::domain::toolkits::ToolkitSlug;
use crate::domain::upstream_name::UpstreamName;
use crate::upstream::accounts::AccountPage;

json_object! {
    struct Page {
        items: AccountRows = "items",
        next_cursor: PageCursor = "next_cursor",
        // A JSON number, `3.0` from some versions, or its text.
        total_items: Count = "total_items",
    }
}

struct AccountRows {
    rows: Rows<SharedAccount>,
    names_users: bool,
}

impl FromJson for AccountRows {
    fn from_list(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
        let names_users = Cell::new(false);
        let decode = |json: &mut JsonReader<'_>, problems: &mut FieldProblems| {
            read_row(json, problems, |wire: Account, problems| {
                names_users.set(
                    names_users.get()
                        || match &wire.user_id {
                            Field::Absent => false,
                            Field::Read(Text(user)) => !user.is_empty(),
                            Field::Unreadable => true,
                        },
                );
                account(wire, problems)
            })
        };
        let rows = Rows::read_each(json, UpstreamName::Composio, |json, problems| {
            let Some((known, credential)) = json.known_rows else { return decode(json, problems) };
            let before = json.rest().as_bytes();
            if let Some((account, length)) = known.find(credential, before) {
                json.take(length);
                names_users.set(true);
                return Ok(Ok(account));
            }
            let read = decode(json, problems)?;
            let row = before.get(..before.len() - json.rest_length()).unwrap_or_default();
            if let Ok(account) = &read
                // Problems are reported each time.
                && problems.is_empty()
                // Its user depends on the request (`loaders::lists::ownership`).
                && account.user_id.is_some()
            {
                known.insert(credential, row, account);
            }
            Ok(read)
        })?;
        Ok(Some(Self { rows, names_users: names_users.get() }))
    }
}

json_object! {
    struct Account {
        id: Identifier = "id",
        toolkit: Toolkit = "toolkit",
        auth_config: WireAuthConfig = "auth_config",
        status: OpenValue<AccountStatus> = "status",
        word_id: Text = "word_id",
        alias: Text = "alias",
        user_id: Text = "user_id",
        status_reason: Text = "status_reason",
        is_disabled: bool = "is_disabled",
        created_at: Timestamp = "created_at",
        updated_at: Timestamp = "updated_at",
        state: WireState = "state",
        experimental: Experimental = "experimental",
        test_request_endpoint: Text = "test_request_endpoint",
        deprecated: Deprecated = "deprecated",
    }
}

json_object! {
    struct Toolkit {
        slug: Identifier = "slug",
    }
}

json_object! {
    struct WireAuthConfig {
        id: Identifier = "id",
        auth_scheme: Text = "auth_scheme",
        is_composio_managed: bool = "is_composio_managed",
        is_disabled: bool = "is_disabled",
        deprecated: DeprecatedAuthConfig = "deprecated",
    }
}

json_object! {
    struct DeprecatedAuthConfig {
        uuid: Text = "uuid",
    }
}

json_object! {
    struct Experimental {
        account_type: Text = "account_type",
    }
}

json_object! {
    struct Deprecated {
        uuid: Text = "uuid",
        labels: Texts = "labels",
    }
}

/// Decodes a page without its unreadable items. If its cursor is unreadable or too long, the pages after it cannot be
/// reached, and the page says so. Items that are `known` are not decoded.
pub(in crate::upstream) fn page(
    body: &[u8],
    known: Option<KnownRows<'_>>,
) -> Result<AccountPage, UnexpectedShape> {
    let Page { items, next_cursor, total_items } = json::read_with(text(body)?, known)?;
    let AccountRows { rows, names_users } = items.read().ok_or(UnexpectedShape)?;
    let Rows { decoded: items, sent: rows_received, mut problems } = rows;
    let has_unreadable_cursor = matches!(next_cursor, Field::Unreadable);
    if has_unreadable_cursor {
        let place = ProblemLocation { row: None, field: "next_cursor" };
        problems.note(place, ProblemRule::UnreadableValue, 1);
    }
    let next_cursor = next_cursor.read().map(|PageCursor(cursor)| cursor);
    // A total below the number of rows on this page is wrong.
    let total_items = total_items
        .read()
        .map(|Count(total)| total)
        .filter(|total| usize::try_from(*total).is_ok_and(|total| total >= rows_received));
    Ok(AccountPage {
        items,
        rows_received,
        names_users,
        next_cursor: next_cursor.filter(|cursor| !cursor.is_empty()),
        has_unreadable_cursor,
        total_items,
        problems,
    })
}

fn account(wire: Account, problems: &mut FieldProblems) -> Result<Arc<ConnectedAccount>, FieldProblem> {
    let Identifier(id) = FieldProblems::required("id", wire.id)?;
    if id.is_empty() {
        return Err(FieldProblem::new("id", ProblemRule::Empty));
    }
    let toolkit = FieldProblems::required("toolkit", wire.toolkit)?;
    let Identifier(slug) = FieldProblems::required("toolkit.slug", toolkit.slug)?;
    let auth_config = FieldProblems::required("auth_config", wire.auth_config)?;
    let Identifier(auth_config_id) = FieldProblems::required("auth_config.id", auth_config.id)?;
    let managed = problems.optional("auth_config.is_composio_managed", auth_config.is_composio_managed);
    let config_off = problems.optional("auth_config.is_disabled", auth_config.is_disabled);
    let is_disabled = problems.optional("is_disabled", wire.is_disabled);
    let status = problems.optional("status", wire.status).unwrap_or_else(|| OpenValue::parse(""));
    let scheme = problems.text("auth_config.auth_scheme", auth_config.auth_scheme).unwrap_or_default();
    let state = problems.optional("state", wire.state).unwrap_or_default();
    let state = state.read(&scheme, problems);
    let legacy_config = problems.optional("auth_config.deprecated", auth_config.deprecated);
    let experimental = problems.optional("experimental", wire.experimental);
    let account_type =
        experimental.and_then(|block| problems.text("experimental.account_type", block.account_type));
    let legacy = problems.optional("deprecated", wire.deprecated);
    let mut account = ConnectedAccount {
        id,
        toolkit: ToolkitSlug::of_upstream(&slug),
        auth_config: AuthConfig {
            id: auth_config_id,
            auth_scheme: if scheme.is_empty() {
                state.auth_scheme.clone()
            } else {
                OpenValue::parse(&scheme)
            },
            is_composio_managed: managed.unwrap_or(false),
            is_disabled: config_off.unwrap_or(false),
            legacy_uuid: legacy_config
                .and_then(|block| problems.text("auth_config.deprecated.uuid", block.uuid)),
        },
        word_id: problems.text("word_id", wire.word_id),
        alias: problems.text("alias", wire.alias),
        user_id: problems.text("user_id", wire.user_id).filter(|id| !id.is_empty()),
        status,
        status_reason: problems.text("status_reason", wire.status_reason),
        is_disabled: is_disabled.unwrap_or(false),
        known_weight: 0,
        account_type: match account_type.as_deref() {
            Some("PRIVATE") => Some(AccountType::Private),
            Some("SHARED") => Some(AccountType::Shared),
            _ => None,
        },
        created_at: problems.timestamp("created_at", wire.created_at),
        updated_at: problems.timestamp("updated_at", wire.updated_at),
        state,
        test_request_endpoint: problems.text("test_request_endpoint", wire.test_request_endpoint),
        legacy: legacy.and_then(|block| {
            let labels = problems.texts("deprecated.labels", block.labels);
            Some(LegacyAccount { uuid: problems.text("deprecated.uuid", block.uuid)?, labels })
        }),
    };
    account.weigh();
    Ok(Arc::new(account))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::credential::Credential;
    use crate::upstream::known_accounts::KnownAccounts;

    fn page(body: &[u8]) -> Result<AccountPage, UnexpectedShape> {
        super::page(body, None)
    }

    const ITEM: &str =
        r#"{"id":"ca_1","toolkit":{"slug":"gmail"},"auth_config":{"id":"ac_1"},"status":"ACTIVE"}"#;

    #[test]
    fn an_item_with_only_required_fields_is_decoded() {
        let page = page(format!(r#"{{"items":[{ITEM}],"total_items":3.0}}"#).as_bytes()).unwrap();
        assert_eq!(
            (page.items.len(), page.rows_received, page.next_cursor, page.total_items),
            (1, 1, None, Some(3))
        );
        assert_eq!(page.items[0].auth_config.auth_scheme.raw(), "");
    }

    #[test]
    fn a_total_is_exact_or_missing() {
        for (total, read) in [
            ("2", Some(2)),
            ("\"2\"", Some(2)),
            ("2.0", Some(2)),
            ("\"18446744073709551615\"", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("1", None),
            ("0", None),
            ("-2", None),
            ("2.5", None),
            ("true", None),
            ("null", None),
            ("[2]", None),
            ("\"two\"", None),
            ("\"\"", None),
        ] {
            let page =
                page(format!(r#"{{"items":[{ITEM},{ITEM}],"total_items":{total}}}"#).as_bytes()).unwrap();
            assert_eq!((page.items.len(), page.total_items), (2, read), "{total}");
        }
    }

    #[test]
    fn a_page_names_users_if_any_row_has_a_user_id() {
        for (fields, names_users) in [
            ("{}", false),
            (r#"{"user_id":null}"#, false),
            (r#"{"user_id":""}"#, false),
            (r#"{"user_id":"user_1"}"#, true),
            (r#"{"user_id":7}"#, true),
            (r#"{"user_id":["user_1"]}"#, true),
            (r#"{"user_id":"user_1","status":[]}"#, true),
        ] {
            let page = page(format!(r#"{{"items":[{ITEM},{}]}}"#, with(fields)).as_bytes()).unwrap();
            assert_eq!(page.names_users, names_users, "{fields}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(page(format!("\u{feff}{{\"items\":[{ITEM}]}}").as_bytes()).unwrap().items.len(), 1);
    }

    #[test]
    fn an_optional_list_may_be_null() {
        let item = ITEM.replacen('{', r#"{"deprecated":{"uuid":"u","labels":null},"#, 1);
        let page = page(format!(r#"{{"items":[{item}]}}"#).as_bytes()).unwrap();
        assert_eq!(&*page.items[0].legacy.as_ref().unwrap().uuid, "u");
    }

    #[test]
    fn an_unreadable_item_does_not_lose_the_others() {
        let bad = [
            r#"{"id":[3]}"#,
            "[]",
            "null",
            r#"{"id":"","toolkit":{"slug":"a"},"auth_config":{"id":"b"},"status":"ACTIVE"}"#,
        ];
        for bad in bad {
            let page = page(format!(r#"{{"items":[{bad},{ITEM}],"next_cursor":""}}"#).as_bytes()).unwrap();
            assert_eq!((page.items.len(), page.rows_received, page.next_cursor), (1, 2, None), "{bad}");
            assert_eq!(page.problems.rows_left_out(), 1, "{bad}");
        }
    }

    fn problems(item: &str) -> Vec<String> {
        let page = page(format!(r#"{{"items":[{ITEM},{item}]}}"#).as_bytes()).unwrap();
        assert_eq!(page.items.len() as u64 + page.problems.rows_left_out(), 2, "{item}");
        page.problems.located().map(|(path, rule, count)| format!("{path} {} {count}", rule.slug())).collect()
    }

    /// Returns the item with some fields replaced.
    fn with(fields: &str) -> String {
        let mut item: serde_json::Map<String, serde_json::Value> = serde_json::from_str(ITEM).unwrap();
        item.extend(serde_json::from_str::<serde_json::Map<_, _>>(fields).unwrap());
        serde_json::to_string(&item).unwrap()
    }

    #[test]
    fn problems_of_items_are_located() {
        for (fields, problem) in [
            (r#"{"id":[42],"toolkit":"gmail"}"#, "items[1].id wrong_type 1"),
            (r#"{"id":""}"#, "items[1].id empty 1"),
            (r#"{"id":null}"#, "items[1].id missing 1"),
            (r#"{"toolkit":"gmail"}"#, "items[1].toolkit wrong_type 1"),
            (r#"{"toolkit":{}}"#, "items[1].toolkit.slug missing 1"),
            (r#"{"auth_config":{"id":[]}}"#, "items[1].auth_config.id wrong_type 1"),
        ] {
            assert_eq!(problems(&with(fields)), [problem], "{fields}");
        }
        assert_eq!(problems("[]"), ["items[1] unreadable_row 1"]);
        assert_eq!(problems(r#"{"id":"\ud800"}"#), ["items[1].id wrong_type 1"]);
    }

    #[test]
    fn problems_of_values_are_located() {
        let fields = r#"{"created_at":"yesterday","updated_at":7,"alias":{},"experimental":[],"user_id":["hush"],
            "deprecated":{"uuid":"u","labels":["a",{},[]]},"status":{"hush":"hush"},"is_disabled":"yes",
            "state":{"val":{"scope":["a",{},{"hush":"hush"}],"expires_at":"soon","region":{"hush":1},"status":[]}}}"#;
        assert_eq!(
            problems(&with(fields)),
            [
                "items[1].alias unreadable_value 1",
                "items[1].created_at unreadable_timestamp 1",
                "items[1].deprecated.labels unreadable_value 2",
                "items[1].experimental unreadable_value 1",
                "items[1].is_disabled unreadable_value 1",
                "items[1].state.val.expires_at unreadable_timestamp 1",
                "items[1].state.val.region unreadable_value 1",
                "items[1].state.val.scope unreadable_scope 2",
                "items[1].state.val.status unreadable_value 1",
                "items[1].status unreadable_value 1",
                "items[1].updated_at unreadable_timestamp 1",
                "items[1].user_id unreadable_value 1",
            ]
        );
        assert_eq!(problems(&with(r#"{"state":"none"}"#)), ["items[1].state unreadable_value 1"]);
        assert_eq!(problems(&with(r#"{"state":{"val":[1]}}"#)), ["items[1].state.val unreadable_value 1"]);
    }

    #[test]
    fn new_fields_new_values_and_missing_fields_are_not_problems() {
        let fields = r#"{"status":"HIBERNATING","alias":null,"created_at":null,"risk":{"score":[1]},"state":{"authScheme":"PASSKEY",
            "val":{"passkey":{"raw":"hush"},"region":null,"scope":null}},"experimental":{"account_type":"FEDERATED"},
            "auth_config":{"id":"ac_1","credentials":{"a":"hush"}},"deprecated":{"labels":null}}"#;
        assert_eq!(problems(&with(fields)), [""; 0]);
    }

    #[test]
    fn of_equal_names_the_last_value_is_used() {
        let row = ITEM.replacen('{', r#"{"id":7,"alias":[],"alias":"b","toolkit":null,"auth_config":{},"#, 1);
        for (first, last) in [
            (r#""id":"ca_0","#, ""),
            (r#""state":{"val":{"scope":7}},"state":7,"state":{"val":{"scope":"a","scope":"b"}},"#, ""),
            (r#""toolkit":{"slug":"a","slug":["b"],"slug":"c"},"#, ""),
            ("", r#","\u0069d":"ca_1","created_at":1,"created_at":"2026-11-21T12:00:00Z""#),
        ] {
            let row = row.replacen('{', &format!("{{{first}"), 1);
            let row = format!("{}{last}}}", row.strip_suffix('}').unwrap());
            let page = page(
                format!(r#"{{"items":[{row}],"items":[{row}],"total_items":9,"total_items":1}}"#).as_bytes(),
            );
            let page = page.unwrap_or_else(|_| panic!("{row}"));
            assert_eq!((page.items.len(), page.total_items), (1, Some(1)), "{row}");
            let account = &page.items[0];
            assert_eq!(
                (&*account.id, account.alias.as_deref(), account.toolkit.as_str()),
                ("ca_1", Some("b"), "gmail")
            );
            assert_eq!(page.problems.counts().count(), 0, "{row}");
        }
    }

    #[test]
    fn a_cursor_is_text_and_an_unreadable_one_costs_only_itself() {
        let long = format!("\"{}\"", "c".repeat(4_096));
        for (json, cursor, is_unreadable) in [
            ("\"c\"", Some("c"), false),
            ("\"\"", None, false),
            ("null", None, false),
            ("2", Some("2"), false),
            ("-1", Some("-1"), false),
            ("2.0", Some("2"), false),
            ("18446744073709551615", Some("18446744073709551615"), false),
            ("18446744073709551616", None, true),
            ("1e400", None, true),
            ("{}", None, true),
            (r#"{"cursor":"c"}"#, None, true),
            ("[]", None, true),
            ("[\"c\"]", None, true),
            ("true", None, true),
            ("false", None, true),
            (r#""\ud800""#, None, true),
            (&*long, Some(long.trim_matches('"')), false),
            (&*long.replacen('"', "\"c", 1), None, true),
        ] {
            let page = page(format!(r#"{{"items":[{ITEM}],"next_cursor":{json}}}"#).as_bytes()).unwrap();
            assert_eq!(page.items.len(), 1, "{json}");
            assert_eq!(
                (page.next_cursor.as_deref(), page.has_unreadable_cursor),
                (cursor, is_unreadable),
                "{json}"
            );
            let problems: Vec<_> = page.problems.located().map(|(path, ..)| path).collect();
            assert_eq!(problems, if is_unreadable { vec!["next_cursor"] } else { vec![] }, "{json}");
        }
    }

    #[test]
    fn a_body_that_is_not_a_page_is_an_error() {
        for body in ["", "<html></html>", "[]", "{}", r#"{"items":{}}"#, r#"{"items":["#] {
            assert!(page(body.as_bytes()).is_err(), "{body}");
        }
    }

    /// Rows of accounts, of which some have problems and some are not accounts.
    fn rows() -> impl Strategy<Value = Vec<String>> {
        let fields = prop::sample::select(vec![
            "{}",
            r#"{"user_id":"user_1"}"#,
            r#"{"user_id":7}"#,
            r#"{"user_id":[]}"#,
            r#"{"id":"ca_2","created_at":"yesterday"}"#,
            r#"{"status":"NEW","state":{"val":{"scope":["a",{}],"token":"hush","region":"eu"}}}"#,
            r#"{"id":""}"#,
        ]);
        let row = prop_oneof![
            fields.prop_map(with),
            prop::sample::select(vec!["[]", "null", "7"]).prop_map(str::to_owned)
        ];
        prop::collection::vec(row, 0..6)
    }

    proptest! {
        #[test]
        fn known_rows_do_not_change_a_page(pages in prop::collection::vec(rows(), 1..5)) {
            let (known, credential) = (KnownAccounts::new(), Credential::new("ak_a").unwrap().fingerprint());
            let mut pages_in_use = Vec::new();
            for rows in pages {
                let body = format!(r#"{{"items":[{}],"next_cursor":"c"}}"#, rows.join(" , "));
                let (expected, found) =
                    (page(body.as_bytes()).unwrap(), super::page(body.as_bytes(), Some((&known, credential))).unwrap());
                prop_assert_eq!(format!("{expected:?}"), format!("{found:?}"));
                pages_in_use.push(found);
            }
        }
    }
}
