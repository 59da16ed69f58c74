//! The answers' JSON, decoded by allow-list and item by item.
//!
//! What is not named in here is skipped by the parser and never stored: no `Value`, no map of
//! values, no flattened rest. A derived struct names the fields that are wanted; serde skips all
//! others without building them. One item that cannot be read is one counted, located problem and
//! not a lost page. No error of serde's is kept: its text can quote the value that it tripped over.

pub(super) mod accounts;
mod connection_state;
pub(super) mod lenient;
pub(super) mod providers;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::upstream_name::UpstreamName;

/// An answer that is no page at all.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not of the documented shape")]
pub(super) struct NotThatShape;

/// Reads a JSON object; a list is none, though serde would take its items for fields in order.
fn object<'j, T: Deserialize<'j>>(json: &'j str) -> Option<T> {
    json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
}

/// How many items that cannot be read are located: a megabyte of them is no reason for a megabyte of log.
const PROBLEMS_LOCATED: usize = 10;

/// Reads each item by itself; those that cannot be read are left out, the first of them located in the log,
/// and all counted there.
fn items<T>(
    upstream: UpstreamName,
    list: &str,
    raw: &[&RawValue],
    read: impl Fn(&str) -> Option<T>,
) -> Vec<T> {
    let mut problems = 0_usize;
    let read_or_say = |(place, json): (usize, &&RawValue)| {
        let item = read(json.get());
        if item.is_none() {
            problems += 1;
            if problems <= PROBLEMS_LOCATED {
                tracing::warn!(
                    %upstream,
                    path = format!("{list}[{place}]"),
                    rule = "a required field is missing or of another type",
                    "an item was left out"
                );
            }
        }
        item
    };
    let read = raw.iter().enumerate().filter_map(read_or_say).collect();
    if problems > PROBLEMS_LOCATED {
        tracing::warn!(%upstream, problems, items = raw.len(), "many items were left out");
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::logged;

    #[test]
    fn of_many_items_that_cannot_be_read_ten_are_located_and_all_counted() {
        let json = format!("[{}]", vec!["0"; 5_000].join(","));
        let raw: Vec<&RawValue> = serde_json::from_str(&json).unwrap();
        let log = logged(|| {
            let read = items(UpstreamName::Composio, "items", &raw, |_| None::<()>);
            assert!(read.is_empty());
        });
        assert_eq!(log.lines().count(), PROBLEMS_LOCATED + 1, "{log}");
        assert!(log.contains("items[9]") && log.contains("problems=5000"), "{log}");
    }
}
