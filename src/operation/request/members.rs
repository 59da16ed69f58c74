//! The members of a request's JSON object, with a check for repeated ones.
//!
//! Parsers differ in which of two equal members counts (RFC 8259, 4). A proxy could have checked one of them while
//! Switchboard executes the other, so a repeated member that has a meaning is an error.

use std::fmt;

use apollo_compiler::response::JsonValue;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// A member that has a meaning in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    Query,
    DocumentId,
    OperationName,
    Variables,
    Extensions,
    OnError,
}

impl Member {
    const ALL: [Self; 6] = [
        Self::Query,
        Self::DocumentId,
        Self::OperationName,
        Self::Variables,
        Self::Extensions,
        Self::OnError,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::DocumentId => "documentId",
            Self::OperationName => "operationName",
            Self::Variables => "variables",
            Self::Extensions => "extensions",
            Self::OnError => "onError",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|member| member.name() == name)
    }
}

/// The values of the members that have a meaning; all others are skipped.
#[derive(Debug, Default)]
pub(super) struct Members {
    values: [Option<JsonValue>; Member::ALL.len()],
    /// The first member that is repeated.
    pub(super) repeated: Option<Member>,
}

impl Members {
    pub(super) fn add(&mut self, member: Member, value: JsonValue) {
        if let Some(slot) = self.values.get_mut(member as usize)
            && slot.replace(value).is_some()
        {
            self.repeated = self.repeated.or(Some(member));
        }
    }

    pub(super) fn take(&mut self, member: Member) -> Option<JsonValue> {
        self.values.get_mut(member as usize).and_then(Option::take)
    }
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
        let mut members = Members::default();
        while let Some(MemberName(member)) = map.next_key()? {
            match member {
                Some(member) => members.add(member, map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(members)
    }
}

/// The name of a member; `None` if it has no meaning.
struct MemberName(Option<Member>);

impl<'de> Deserialize<'de> for MemberName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = MemberName;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E>(self, name: &str) -> Result<MemberName, E> {
        Ok(MemberName(Member::from_name(name)))
    }
}
