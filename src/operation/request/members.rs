//! The members of a request's JSON object, with a check for repeated ones.
//!
//! Parsers differ in which of two equal members counts (RFC 8259, 4). A proxy could have checked one of them while
//! Switchboard executes the other, so a repeated member that has a meaning is an error.

use std::fmt;

use apollo_compiler::response::serde_json_bytes::ByteString;
use apollo_compiler::response::{JsonMap, JsonValue};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Members that have a meaning in a request.
const KNOWN_MEMBERS: [&str; 6] =
    ["query", "documentId", "operationName", "variables", "extensions", "onError"];

/// A JSON object, and the first member with a meaning that is repeated.
pub(super) struct Members {
    pub(super) members: JsonMap,
    pub(super) repeated: Option<&'static str>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let (mut members, mut repeated) = (JsonMap::new(), None);
        while let Some((name, value)) = map.next_entry::<String, JsonValue>()? {
            let known = KNOWN_MEMBERS.into_iter().find(|known| *known == name);
            if members.insert(ByteString::from(name), value).is_some() {
                repeated = repeated.or(known);
            }
        }
        Ok(Members { members, repeated })
    }
}
