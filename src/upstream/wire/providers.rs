//! Decodes `{"data": {"providers": [{…}]}}` (docs/upstreams.md#leadlex-providers, #leadlex-open-questions).

use std::collections::HashMap;

use jiff::Timestamp;

use super::json::{JsonError, JsonReader};
use super::lenient::{FromJson, Identifier, Scopes, Text, json_object};
use super::rows::{FieldProblem, FieldProblems, Rows};
use super::{UnexpectedShape, decode};
use crate::domain::open_enum::OpenValue;
use crate::domain::providers::{Provider, ProviderStatus};
use crate::domain::upstream_name::UpstreamName;
use crate::upstream::providers::FetchedProviders;

json_object! {
    struct Response {
        data: Data = "data",
    }
}

json_object! {
    struct Data {
        providers: ProviderRows = "providers",
    }
}

struct ProviderRows(Rows<Provider>);

impl FromJson for ProviderRows {
    fn from_list(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
        Rows::read(json, UpstreamName::Leadlex, provider).map(|rows| Some(Self(rows)))
    }
}

json_object! {
    // All fields but category and name are optional (docs/upstreams.md#leadlex-open-questions).
    struct Row {
        category: Identifier = "category",
        name: Identifier = "name",
        connected: bool = "connected",
        account_id: Text = "account_id",
        display_name: Text = "display_name",
        scopes: Scopes = "scopes",
        connected_at: Timestamp = "connected_at",
        last_sync_at: Timestamp = "last_sync_at",
        status: Text = "status",
        error_message: Text = "error_message",
    }
}

/// Decodes the list without its unreadable rows, which are counted. If no row is readable, this is an error: otherwise
/// the workspace would seem to have no integrations.
pub(in crate::upstream) fn list(body: &[u8]) -> Result<FetchedProviders, UnexpectedShape> {
    let data = decode::<Response>(body)?.data.read().ok_or(UnexpectedShape)?;
    let ProviderRows(Rows { decoded: mut rows, sent, problems }) =
        data.providers.read().ok_or(UnexpectedShape)?;
    if rows.is_empty() && sent > 0 {
        return Err(UnexpectedShape);
    }
    number_repeats(&mut rows);
    Ok(FetchedProviders { rows, problems })
}

fn provider(row: Row, problems: &mut FieldProblems) -> Result<Provider, FieldProblem> {
    let Identifier(category) = FieldProblems::required("category", row.category)?;
    let Identifier(name) = FieldProblems::required("name", row.name)?;
    let connected = problems.optional("connected", row.connected);
    let status = OpenValue::<ProviderStatus>::parse(&problems.text("status", row.status).unwrap_or_default());
    Ok(Provider {
        category: OpenValue::parse(&category),
        name,
        ordinal: 0,
        connected: connected.unwrap_or_else(|| {
            !matches!(status.kind(), ProviderStatus::Disconnected | ProviderStatus::Unknown)
        }),
        connected_at: problems.timestamp("connected_at", row.connected_at),
        last_sync_at: problems.timestamp("last_sync_at", row.last_sync_at),
        account_id: problems.text("account_id", row.account_id),
        display_name: problems.text("display_name", row.display_name),
        scopes: problems.scopes("scopes", row.scopes),
        status,
        error_message: problems.text("error_message", row.error_message),
    })
}

/// Numbers rows with equal category, name and account, so that each has its own id
/// (docs/upstreams.md#leadlex-open-questions).
fn number_repeats(rows: &mut [Provider]) {
    let mut seen = HashMap::new();
    for row in rows {
        let key: (Box<str>, _, _) = (row.category.raw().into(), row.name.clone(), row.account_id.clone());
        let count: &mut u32 = seen.entry(key).or_default();
        row.ordinal = *count;
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: &str) -> (Vec<Provider>, Vec<String>) {
        let FetchedProviders { rows, problems } =
            list(format!(r#"{{"data":{{"providers":{rows}}}}}"#).as_bytes()).unwrap();
        let line = |(path, rule, count): (String, crate::domain::problems::ProblemRule, u64)| {
            format!("{path} {} {count}", rule.slug())
        };
        (rows, problems.located().map(line).collect())
    }

    #[test]
    fn an_unreadable_row_is_skipped_and_counted() {
        let (rows, problems) = read(
            r#"[{"category":"email","name":"a"},{"name":"b"},3,["email","c"],{"category":"x","name":"d"}]"#,
        );
        assert_eq!(rows.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["a", "d"]);
        assert_eq!(
            problems,
            [
                "data.providers[1].category missing 1",
                "data.providers[2] unreadable_row 1",
                "data.providers[3] unreadable_row 1",
            ]
        );
        assert_eq!(rows[1].category.raw(), "x");
    }

    #[test]
    fn of_equal_names_the_last_value_is_used() {
        let (rows, problems) =
            read(r#"[{"category":"email","name":"a","name":"b","status":7,"status":"healthy"}]"#);
        assert_eq!((&*rows[0].name, rows[0].status.raw(), problems.len()), ("b", "healthy", 0));
        for body in [
            r#"{"data":7,"data":{"providers":[{"category":"c","name":"n"}]}}"#,
            r#"{"data":{"providers":7,"providers":[{"category":"c","name":"n"}]}}"#,
        ] {
            assert_eq!(list(body.as_bytes()).unwrap().rows.len(), 1, "{body}");
        }
    }

    #[test]
    fn an_unreadable_value_is_skipped_and_reported() {
        let (rows, problems) = read(
            r#"[{"category":"c","name":"n","connected_at":"2026-11-21","last_sync_at":null,"scopes":["a",{},{"hush":1}],
                "display_name":{"hush":1},"status":"new_word","new":1},{"category":"c","name":"m","connected":"yes"}]"#,
        );
        assert_eq!((rows.len(), rows[0].scopes.join(" "), rows[0].connected_at), (2, "a".to_owned(), None));
        assert_eq!(
            problems,
            [
                "data.providers[0].connected_at unreadable_timestamp 1",
                "data.providers[0].display_name unreadable_value 1",
                "data.providers[0].scopes unreadable_scope 2",
                "data.providers[1].connected unreadable_value 1",
            ]
        );
    }

    #[test]
    fn equal_rows_are_numbered() {
        let row = r#"{"category":"email","name":"gmail","account_id":"a"}"#;
        let (rows, _) = read(&format!("[{row},{row},{{\"category\":\"email\",\"name\":\"gmail\"}}]"));
        assert_eq!(rows.iter().map(|row| row.ordinal).collect::<Vec<_>>(), [0, 1, 0]);
    }

    #[test]
    fn connected_follows_from_the_status_if_missing() {
        let of = |status: &str| {
            read(&format!(r#"[{{"category":"c","name":"n","status":{status}}}]"#)).0[0].connected
        };
        assert!(of("\"healthy\"") && of("\"degraded\"") && of("\"needs_reauth\""));
        assert!(!of("\"disconnected\"") && !of("null") && !of("\"new_word\""));
    }

    #[test]
    fn a_body_that_is_not_a_list_is_an_error() {
        for body in [
            "",
            "<html></html>",
            "[]",
            "{}",
            r#"{"data":[]}"#,
            r#"{"data":{"providers":{}}}"#,
            "\u{fffd}",
            r#"{"data":{"providers":["#,
            r#"{"data":{"providers":[{"category":[7],"name":"a"},{}]}}"#,
        ] {
            assert!(list(body.as_bytes()).is_err(), "{body}");
        }
        assert!(list(b"{\"data\":{\"providers\":[\"\xff\"]}}").is_err());
    }
}
