//! `{"data": {"providers": [{…}]}}` (UPSTREAMS.md B1, B2).

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Scopes, Text};
use super::{NotThatShape, items, object};
use crate::domain::providers::{Provider, ProviderStatus};
use crate::domain::upstream_name::UpstreamName;
use crate::domain::vocabulary::Word;

#[derive(Deserialize)]
struct Answer<'j> {
    #[serde(borrow)]
    data: &'j RawValue,
}

#[derive(Deserialize)]
struct Data<'j> {
    #[serde(borrow)]
    providers: Vec<&'j RawValue>,
}

/// A row: everything but category and name may be missing (UPSTREAMS.md B2).
#[derive(Deserialize)]
struct Row {
    category: Box<str>,
    name: Box<str>,
    connected: Option<bool>,
    #[serde(default)]
    account_id: Text,
    #[serde(default)]
    display_name: Text,
    #[serde(default)]
    scopes: Scopes,
    #[serde(default)]
    connected_at: Text,
    #[serde(default)]
    last_sync_at: Text,
    #[serde(default)]
    status: Text,
    #[serde(default)]
    error_message: Text,
}

/// Reads the list without the rows that cannot be read, and counts those. A list of which no row can be
/// read is none: the workspace is not without integrations, only its answer is without meaning.
pub(in crate::upstream) fn list(body: &[u8]) -> Result<(Vec<Provider>, usize), NotThatShape> {
    let json = std::str::from_utf8(body).map_err(|_| NotThatShape)?;
    let answer: Answer<'_> = object(json).ok_or(NotThatShape)?;
    let data: Data<'_> = object(answer.data.get()).ok_or(NotThatShape)?;
    let mut rows =
        items(UpstreamName::Leadlex, "data.providers", &data.providers, |json| Some(provider(object(json)?)));
    let problems = data.providers.len() - rows.len();
    if rows.is_empty() && problems > 0 {
        return Err(NotThatShape);
    }
    number_repeats(&mut rows);
    Ok((rows, problems))
}

fn provider(row: Row) -> Provider {
    let status = Word::<ProviderStatus>::read(row.status.0.as_deref().unwrap_or_default());
    Provider {
        category: Word::read(&row.category),
        name: row.name,
        ordinal: 0,
        connected: row.connected.unwrap_or_else(|| {
            !matches!(status.kind(), ProviderStatus::Disconnected | ProviderStatus::Unknown)
        }),
        connected_at: row.connected_at.moment(),
        last_sync_at: row.last_sync_at.moment(),
        account_id: row.account_id.0,
        display_name: row.display_name.0,
        scopes: row.scopes.0,
        status,
        error_message: row.error_message.0,
    }
}

/// Rows that repeat category, name and account are told apart by their order, never dropped
/// (UPSTREAMS.md B2).
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

    fn read(rows: &str) -> (Vec<Provider>, usize) {
        list(format!(r#"{{"data":{{"providers":{rows}}}}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn one_bad_row_is_left_out_and_counted_and_the_rest_kept() {
        let (rows, problems) = read(
            r#"[{"category":"email","name":"a"},{"name":"b"},3,["email","c"],{"category":"x","name":"d"}]"#,
        );
        assert_eq!(rows.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["a", "d"]);
        assert_eq!(problems, 3);
        assert_eq!(rows[1].category.raw(), "x");
    }

    #[test]
    fn rows_alike_are_told_apart() {
        let row = r#"{"category":"email","name":"gmail","account_id":"a"}"#;
        let (rows, _) = read(&format!("[{row},{row},{{\"category\":\"email\",\"name\":\"gmail\"}}]"));
        assert_eq!(rows.iter().map(|row| row.ordinal).collect::<Vec<_>>(), [0, 1, 0]);
    }

    #[test]
    fn whether_it_is_connected_follows_from_the_status_where_it_is_not_said() {
        let of = |status: &str| {
            read(&format!(r#"[{{"category":"c","name":"n","status":{status}}}]"#)).0[0].connected
        };
        assert!(of("\"healthy\"") && of("\"degraded\"") && of("\"needs_reauth\""));
        assert!(!of("\"disconnected\"") && !of("null") && !of("\"new_word\""));
    }

    #[test]
    fn what_is_no_list_is_refused_whole() {
        for body in [
            "",
            "<html></html>",
            "[]",
            "{}",
            r#"{"data":[]}"#,
            r#"{"data":{"providers":{}}}"#,
            "\u{fffd}",
            r#"{"data":{"providers":["#,
            r#"{"data":{"providers":[{"category":7,"name":"a"},{}]}}"#,
        ] {
            assert!(list(body.as_bytes()).is_err(), "{body}");
        }
        assert!(list(b"{\"data\":{\"providers\":[\"\xff\"]}}").is_err());
    }
}
