//! The members of a request's JSON object, of which none that means something may come twice: which of the two counts
//! is each parser's own affair (RFC 8259, 4), and one in front could have judged the other.

use std::fmt;

use apollo_compiler::response::serde_json_bytes::ByteString;
use apollo_compiler::response::{JsonMap, JsonValue};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Those that mean something here.
const MEANT: [&str; 5] = ["query", "documentId", "operationName", "variables", "extensions"];

/// A JSON object, and the first of its members that came twice.
pub(super) struct Members {
    pub(super) members: JsonMap,
    pub(super) twice: Option<&'static str>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let (mut members, mut twice) = (JsonMap::new(), None);
        while let Some((name, value)) = map.next_entry::<String, JsonValue>()? {
            let meant = MEANT.into_iter().find(|meant| *meant == name);
            if members.insert(ByteString::from(name), value).is_some() {
                twice = twice.or(meant);
            }
        }
        Ok(Members { members, twice })
    }
}
