//! Property: every field of both APIs may hold any JSON value. A value that can be understood is returned exactly; any
//! other costs itself and is reported. Only an identifier that nothing can replace costs its row.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use switchboard::domain::accounts::{AccountType, ConnectedAccount};
use switchboard::domain::connection_state::PUBLIC_SETTINGS;
use switchboard::domain::problems::Problems;
use switchboard::domain::providers::Provider;

use crate::fuzz::targets::decoders::{list_of, page_of};

/// The values that a field accepts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Text, or a number or boolean as text.
    Text,
    /// Text or a whole number; without it, there is no row.
    Identifier,
    /// Text or a whole number.
    Word,
    Boolean,
    Time,
    /// Texts, in a list or separated.
    Scopes,
    /// A list of texts.
    Texts,
}

/// Longer texts are unreadable.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// A field: its path, its kind, and its value in a decoded row.
type Field<R> = (&'static str, Kind, fn(&R) -> Option<String>);

fn text(value: &Option<Box<str>>) -> Option<String> {
    value.as_deref().map(str::to_owned)
}

fn time(value: Option<Timestamp>) -> Option<String> {
    value.map(|time| time.to_string())
}

const ACCOUNT: [Field<ConnectedAccount>; 29] = [
    ("id", Kind::Identifier, |row| Some(row.id.to_string())),
    ("toolkit.slug", Kind::Identifier, |row| Some(row.toolkit.as_str().to_owned())),
    ("auth_config.id", Kind::Identifier, |row| Some(row.auth_config.id.to_string())),
    ("auth_config.auth_scheme", Kind::Text, |row| Some(row.auth_config.auth_scheme.raw().to_owned())),
    ("auth_config.is_composio_managed", Kind::Boolean, |row| {
        Some(row.auth_config.is_composio_managed.to_string())
    }),
    ("auth_config.is_disabled", Kind::Boolean, |row| Some(row.auth_config.is_disabled.to_string())),
    ("auth_config.deprecated.uuid", Kind::Text, |row| text(&row.auth_config.legacy_uuid)),
    ("word_id", Kind::Text, |row| text(&row.word_id)),
    ("alias", Kind::Text, |row| text(&row.alias)),
    ("user_id", Kind::Text, |row| text(&row.user_id)),
    ("status", Kind::Word, |row| Some(row.status.raw().to_owned())),
    ("status_reason", Kind::Text, |row| text(&row.status_reason)),
    ("is_disabled", Kind::Boolean, |row| Some(row.is_disabled.to_string())),
    ("created_at", Kind::Time, |row| time(row.created_at)),
    ("updated_at", Kind::Time, |row| time(row.updated_at)),
    ("test_request_endpoint", Kind::Text, |row| text(&row.test_request_endpoint)),
    ("deprecated.uuid", Kind::Text, |row| row.legacy.as_ref().map(|legacy| legacy.uuid.to_string())),
    ("deprecated.labels", Kind::Texts, |row| row.legacy.as_ref().map(|legacy| legacy.labels.join("|"))),
    ("experimental.account_type", Kind::Text, |row| {
        row.account_type.map(|is| if is == AccountType::Shared { "SHARED" } else { "PRIVATE" }.to_owned())
    }),
    ("state.authScheme", Kind::Text, |row| Some(row.state.auth_scheme.raw().to_owned())),
    ("state.val.status", Kind::Text, |row| text(&row.state.status)),
    ("state.val.scope", Kind::Scopes, |row| Some(row.state.scopes.join("|"))),
    ("state.val.token_type", Kind::Text, |row| text(&row.state.token_type)),
    ("state.val.expires_at", Kind::Time, |row| time(row.state.expires_at)),
    ("state.val.expired_at", Kind::Time, |row| time(row.state.expired_at)),
    ("state.val.revoked_at", Kind::Time, |row| time(row.state.revoked_at)),
    ("state.val.error", Kind::Text, |row| text(&row.state.error)),
    ("state.val.error_description", Kind::Text, |row| text(&row.state.error_description)),
    ("state.val.region", Kind::Text, |row| {
        row.state
            .settings
            .iter()
            .find(|setting| setting.name == "region")
            .map(|setting| setting.value.to_string())
    }),
];

const PROVIDER: [Field<Provider>; 10] = [
    ("category", Kind::Identifier, |row| Some(row.category.raw().to_owned())),
    ("name", Kind::Identifier, |row| Some(row.name.to_string())),
    ("connected", Kind::Boolean, |row| Some(row.connected.to_string())),
    ("account_id", Kind::Text, |row| text(&row.account_id)),
    ("display_name", Kind::Text, |row| text(&row.display_name)),
    ("scopes", Kind::Scopes, |row| Some(row.scopes.join("|"))),
    ("connected_at", Kind::Time, |row| time(row.connected_at)),
    ("last_sync_at", Kind::Time, |row| time(row.last_sync_at)),
    ("status", Kind::Text, |row| Some(row.status.raw().to_owned())),
    ("error_message", Kind::Text, |row| text(&row.error_message)),
];

/// A row with every field, one of them replaced by some JSON.
fn row<R>(fields: &[Field<R>], replaced: &str, json: &str) -> String {
    fn nested(fields: &[(&str, String)]) -> String {
        let mut members: Vec<(String, Vec<(&str, String)>)> = Vec::new();
        for (path, json) in fields {
            let (name, rest) = path.split_once('.').map_or((*path, ""), |(name, rest)| (name, rest));
            match members.iter_mut().find(|(known, _)| known == name) {
                Some((_, inner)) => inner.push((rest, json.clone())),
                None => members.push((name.to_owned(), vec![(rest, json.clone())])),
            }
        }
        let member = |(name, inner): (String, Vec<(&str, String)>)| match inner.as_slice() {
            [("", json)] => format!("\"{name}\":{json}"),
            inner => format!("\"{name}\":{}", nested(inner)),
        };
        format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
    }
    let usual = |(path, kind, _): &Field<R>| match kind {
        _ if *path == replaced => json.to_owned(),
        Kind::Text | Kind::Identifier | Kind::Word if path.ends_with("account_type") => {
            "\"SHARED\"".to_owned()
        }
        Kind::Text | Kind::Identifier | Kind::Word => format!("\"usual {path}\""),
        Kind::Boolean => "true".to_owned(),
        Kind::Time => "\"2026-11-21T12:00:00Z\"".to_owned(),
        Kind::Scopes | Kind::Texts => "[\"one\",\"two\"]".to_owned(),
    };
    nested(&fields.iter().map(|field| (field.0, usual(field))).collect::<Vec<_>>())
}

/// JSON texts of every type, escape and size.
fn json_values() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "1",
        "-0",
        "-0.0",
        "7",
        "-7",
        "1.5",
        "0.1",
        "-1e-7",
        "1e3",
        "1E+2",
        "3.0",
        "1e400",
        "-1e999",
        "9007199254740991",
        "9007199254740993",
        "9007199254740993.0",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890",
        "0.12345678901234567",
        "0.1000000000000000055511151231257827",
        r#""""#,
        r#"" ""#,
        r#""a""#,
        r#""true""#,
        r#""False""#,
        r#""7""#,
        r#""1e400""#,
        r#""null""#,
        r#""\u0061\"\\\/\b\f\n\r\t""#,
        r#""\u0000""#,
        r#""é\u00e9😀\ud83d\ude00""#,
        r#""\ud800""#,
        r#""\udc00x""#,
        r#""\ud83d\ud83d""#,
        r#""\uD83D\n""#,
        r#""\u2028\ufeff\uffff""#,
        r#""2026-11-21T12:00:00Z""#,
        r#""2026-11-21T12:00:00.123456789+05:30""#,
        r#""2026-11-21""#,
        r#""yesterday""#,
        r#""9999-12-31T23:59:59Z""#,
        "[]",
        r#"["a"]"#,
        "[null]",
        "[[]]",
        "[[[]]]",
        r#"["a",7,true,null,{},[]]"#,
        r#"["\ud800","a"]"#,
        "[1e400]",
        r#"[{"scope":"a"},{"name":"b"}]"#,
        "{}",
        r#"{"a":1}"#,
        r#"{"\ud800":"\udfff"}"#,
        r#"{"a":{"a":{"a":[1e999]}}}"#,
        r#"{"id":"x","id":"y"}"#,
        r#"{"uuid":7}"#,
    ])
    .prop_map(str::to_owned);
    let text = any::<String>().prop_map(|text| Value::from(text).to_string());
    let escapes = prop::collection::vec(any::<u16>(), 0..6).prop_map(|units| {
        format!("\"{}\"", units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>())
    });
    let number = "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?";
    let large = (1_000..60_000_usize, "[a-z\u{e9}]")
        .prop_map(|(size, letter)| format!("\"{}\"", letter.repeat(size)));
    let deep = (1..100_usize).prop_map(|depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    prop_oneof![8 => fixed, 3 => text, 3 => escapes, 4 => number, 1 => large, 1 => deep]
}

/// A JSON number as sign, digits and exponent, without zeros at either end.
fn decimal(number: &str) -> Option<(bool, String, i64)> {
    let (is_negative, rest) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !(whole.to_owned() + fraction).bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let mut exponent = exponent.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()?;
    let significant = digits.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    exponent += i64::try_from(significant.len() - trimmed.len()).ok()?;
    match trimmed {
        "" => Some((false, String::new(), 0)),
        _ => Some((is_negative, trimmed.to_owned(), exponent)),
    }
}

/// Whether a returned value is exactly what the JSON says.
fn is_exact(kind: Kind, json: &str, returned: &str) -> bool {
    let parsed = serde_json::from_str::<Value>(json).ok();
    match (kind, parsed) {
        (Kind::Time, Some(Value::String(text))) => {
            text.parse::<Timestamp>().is_ok_and(|time| time.to_string() == returned)
        }
        (Kind::Time, _) => false,
        (Kind::Boolean, Some(Value::Number(_))) => {
            // 0 and 1 in any spelling.
            decimal(json) == decimal(if returned == "true" { "1" } else { "0" })
        }
        (Kind::Boolean, parsed) => match json.trim_matches('"').to_ascii_lowercase().as_str() {
            "true" | "1" => returned == "true",
            "false" | "0" | "-0" | "-0.0" | "null" => returned == "false" || parsed == Some(Value::Null),
            _ => false,
        },
        (Kind::Scopes | Kind::Texts, _) => true,
        (_, Some(Value::String(text))) => text == returned,
        (Kind::Text, Some(Value::Bool(value))) => value.to_string() == returned,
        _ => decimal(json).is_some_and(|number| decimal(returned) == Some(number)),
    }
}

/// Whether the value can be understood without doubt.
fn is_plain(kind: Kind, json: &str) -> bool {
    if json.len() > TEXT_BYTES_MAX {
        return false;
    }
    match serde_json::from_str::<Value>(json) {
        Ok(Value::String(text)) => match kind {
            Kind::Text | Kind::Word => true,
            Kind::Time => text.parse::<Timestamp>().is_ok(),
            _ => false,
        },
        Ok(Value::Bool(_)) => matches!(kind, Kind::Boolean | Kind::Text),
        Ok(Value::Number(number)) => kind == Kind::Text && (number.is_i64() || number.is_u64()),
        _ => false,
    }
}

fn check<R>(
    fields: &[Field<R>],
    (path, kind, read): Field<R>,
    json: &str,
    (changed, usual): (Option<&R>, &R),
    problems: &Problems,
) {
    let reported: u64 = problems.counts().map(|(_, count)| count).sum();
    let Some(changed) = changed else {
        assert_eq!(kind, Kind::Identifier, "{path} costs the row: {json}");
        assert!(problems.rows_left_out() == 1, "a row that is left out is reported");
        assert!(!is_plain(Kind::Word, json) || json == "\"\"", "{path}: {json} is an identifier");
        return;
    };
    for (other, _, value) in fields.iter().filter(|(other, ..)| *other != path) {
        // Without a scheme of its own, the state has that of the auth config, and the other way round.
        let is_scheme = other.to_ascii_lowercase().contains("scheme");
        // Labels belong to an identifier.
        let is_part = *other == "deprecated.labels" && path == "deprecated.uuid";
        if !is_scheme && !is_part {
            assert_eq!(value(changed), value(usual), "{other} beside {path}: {json}");
        }
    }
    let returned = read(changed);
    let is_missing = returned.as_ref().is_none_or(|value| value.is_empty());
    let is_substitute = kind == Kind::Boolean || path.contains("cheme");
    if let Some(value) = returned.filter(|value| !value.is_empty())
        && !(is_substitute && reported > 0)
    {
        let is_null = json == "null" && is_substitute;
        let is_account_type = path.ends_with("account_type");
        // Slugs are compared without regard to case.
        let expected = match serde_json::from_str::<Value>(json) {
            Ok(Value::String(slug)) if path == "toolkit.slug" => json!(slug.to_ascii_lowercase()).to_string(),
            _ => json.to_owned(),
        };
        assert!(
            is_null || is_account_type || json == "\"\"" || is_exact(kind, &expected, &value),
            "{path}: {json} became {value:?}"
        );
    }
    if is_plain(kind, json) {
        assert_eq!(reported, 0, "{path}: {json} is understood");
    } else if is_missing && !matches!(kind, Kind::Scopes | Kind::Texts)
        // A new account type is no problem.
        && !path.ends_with("account_type")
        && !matches!(json, "null" | "\"\"")
    {
        assert!(reported > 0, "{path}: {json} is lost and not reported");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_of_an_account_costs_at_most_itself(
        field in prop::sample::select(&ACCOUNT[..]), json in json_values(),
    ) {
        let usual = row(&ACCOUNT, "", "");
        let body = format!("{{\"items\":[{},{usual}],\"total_items\":2}}", row(&ACCOUNT, field.0, &json));
        let page = page_of(body.as_bytes()).expect("a page");
        prop_assert_eq!(page.rows_received, 2);
        let usual = page.items.last().expect("the other row");
        let changed = (page.items.len() == 2).then(|| &*page.items[0]);
        check(&ACCOUNT, field, &json, (changed, usual), &page.problems);
    }

    #[test]
    fn any_value_of_a_provider_costs_at_most_itself(
        field in prop::sample::select(&PROVIDER[..]), json in json_values(),
    ) {
        let usual = row(&PROVIDER, "", "");
        let body = format!("{{\"data\":{{\"providers\":[{},{usual}]}}}}", row(&PROVIDER, field.0, &json));
        let list = list_of(body.as_bytes()).expect("a list");
        let usual = list.rows.last().expect("the other row");
        let changed = (list.rows.len() == 2).then(|| &list.rows[0]);
        check(&PROVIDER, field, &json, (changed, usual), &list.problems);
    }

    #[test]
    fn any_value_of_a_page_leaves_its_rows(
        field in prop::sample::select(&["total_items", "total_pages", "current_page", "next_cursor", "anything"][..]),
        json in json_values(),
    ) {
        let usual = row(&ACCOUNT, "", "");
        let body = format!("{{\"items\":[{usual},{usual}],\"{field}\":{json}}}");
        let page = page_of(body.as_bytes());
        prop_assert_eq!(page.map(|page| page.items.len()), Some(2), "{}: {}", field, json);
    }
}

#[test]
fn every_public_setting_is_read_like_region() {
    for (name, _) in PUBLIC_SETTINGS {
        let body = format!(
            r#"{{"items":[{{"id":"ca_1","toolkit":{{"slug":"a"}},"auth_config":{{"id":"b"}},"state":{{"val":{{"{name}":7}}}}}}]}}"#
        );
        let page = page_of(body.as_bytes()).expect("a page");
        let settings = &page.items[0].state.settings;
        assert_eq!(
            settings.iter().map(|setting| (setting.name, &*setting.value)).collect::<Vec<_>>(),
            [(name, "7")]
        );
    }
}
