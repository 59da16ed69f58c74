//! The mapping between LeadLex providers and Composio toolkits.
//!
//! The two upstreams have services in common but no account ids (docs/upstreams.md#composio-account,
//! #providers-and-toolkits), and the name of a service in one cannot be derived from the other. The mapping is
//! therefore data: many-to-many, compared without regard to case. It is built in from `toolkits.toml`; the setting
//! `toolkits.file` replaces it.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::input::{BadInput, BadInputReason};
use super::providers::Provider;

/// A toolkit's slug in lower case. [`Self::parse`] accepts well-formed slugs only. [`Self::of_upstream`] accepts any
/// text, because Composio does not document the characters of slugs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Box<str>", into = "Arc<str>")]
pub struct ToolkitSlug(Arc<str>);

impl From<Box<str>> for ToolkitSlug {
    fn from(text: Box<str>) -> Self {
        Self::of_upstream(&text)
    }
}

impl From<ToolkitSlug> for Arc<str> {
    fn from(ToolkitSlug(slug): ToolkitSlug) -> Self {
        slug
    }
}

impl ToolkitSlug {
    /// Reads a slug in any case; `None` if it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_well_formed(text).then(|| Self::of_upstream(text))
    }

    /// Creates the slug that an upstream returned, with any characters.
    pub(crate) fn of_upstream(text: &str) -> Self {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Self(text.to_ascii_lowercase().into())
        } else {
            Self(text.into())
        }
    }

    /// Whether [`Self::parse`] accepts it. A mapping has no other slugs.
    pub(crate) fn is_well_formed(&self) -> bool {
        is_well_formed(&self.0)
    }

    /// Reads a slug from a caller.
    ///
    /// # Errors
    /// `BAD_SLUG` if it is malformed.
    pub fn check(text: &str) -> Result<Self, BadInput> {
        Self::parse(text).ok_or_else(|| {
            BadInput::new(
                BadInputReason::BadSlug,
                            "A toolkit slug has 1 to 64 letters, digits, `_`, `-` and `.`, for example `gmail` or `one_drive`.",
            )
        })
    }

    /// Returns the slug's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_well_formed(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// A toolkit as Composio's catalogue describes it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolkitDetails {
    /// Its name for people, such as `Google Calendar`.
    pub name: Option<Box<str>>,
    /// The https URL of its logo.
    pub logo_url: Option<Box<str>>,
    /// The names of its categories.
    pub categories: Vec<Box<str>>,
    /// Description of the service.
    pub description: Option<Box<str>>,
}

impl ToolkitDetails {
    /// Approximate memory use in bytes.
    pub(crate) fn weight_bytes(&self) -> usize {
        let texts = [&self.name, &self.logo_url, &self.description].into_iter().flatten();
        let bytes = texts.chain(&self.categories).map(|text| text.len() + size_of::<Box<str>>());
        size_of::<Self>() + bytes.sum::<usize>()
    }
}

/// Maximum number of toolkits of one provider: the length that the cost of such a list is computed with.
pub const TOOLKITS_OF_PROVIDER_MAX: usize = 10;

/// The mapping between providers and toolkits.
#[derive(Debug, Clone, Default)]
pub struct ToolkitMapping {
    toolkits_of: HashMap<(String, String), Vec<ToolkitSlug>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    provider: Vec<MappingRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingRow {
    category: String,
    name: String,
    toolkits: Vec<String>,
}

/// An invalid mapping file.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// Not TOML, or of another shape.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A row with a malformed slug or too many of them, or of a provider that another row maps already.
    #[error("{0}")]
    Row(String),
}

impl ToolkitMapping {
    /// Returns the built-in mapping.
    ///
    /// # Errors
    /// If `toolkits.toml` is invalid; a test ensures that it is not.
    pub fn built_in() -> Result<Self, MappingError> {
        Self::parse(include_str!("toolkits.toml"))
    }

    /// Parses a mapping file.
    ///
    /// # Errors
    /// If it is not TOML of this shape, or has a malformed slug, too many toolkits for one provider, or a provider
    /// twice.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        let file: MappingFile = toml::from_str(text)?;
        let mut toolkits_of = HashMap::new();
        for MappingRow { category, name, toolkits } in file.provider {
            let refused = |why: String| MappingError::Row(format!("`{category}` `{name}`{why}"));
            if toolkits.len() > TOOLKITS_OF_PROVIDER_MAX {
                let count = toolkits.len();
                return Err(refused(format!(
                    " has {count} toolkits; at most {TOOLKITS_OF_PROVIDER_MAX} are allowed"
                )));
            }
            let slug = |slug: &String| {
                ToolkitSlug::parse(slug).ok_or_else(|| refused(format!(": `{slug}` is not a toolkit slug")))
            };
            let slugs = toolkits.iter().map(slug).collect::<Result<Vec<_>, _>>()?;
            if toolkits_of.insert(key(&category, &name), slugs).is_some() {
                return Err(refused(" is mapped twice; put all its toolkits into one row".to_owned()));
            }
        }
        Ok(Self { toolkits_of })
    }

    /// Returns the toolkits of a provider; empty if it is not mapped.
    pub(crate) fn toolkits_of(&self, provider: &Provider) -> &[ToolkitSlug] {
        self.toolkits_of.get(&key(provider.category.raw(), &provider.name)).map_or(&[], Vec::as_slice)
    }
}

fn key(category: &str, name: &str) -> (String, String) {
    (category.to_lowercase(), name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_mapping_contains_the_documented_providers() {
        let mapping = ToolkitMapping::built_in().unwrap();
        let of = |category: &str, name: &str| -> Vec<&str> {
            mapping.toolkits_of[&key(category, name)].iter().map(ToolkitSlug::as_str).collect()
        };
        assert_eq!(of("email", "gmail"), ["gmail"]);
        assert_eq!(of("EMAIL", "Microsoft"), ["outlook"]);
        assert_eq!(of("calendar", "microsoft"), ["outlook"]);
        assert_eq!(of("channels", "slack"), ["slack", "slackbot"]);
        assert_eq!(of("identity", "okta"), [] as [&str; 0]);
    }

    #[test]
    fn an_invalid_file_is_refused_with_the_reason_and_the_place() {
        let row = |toolkits: &str| {
            format!("[[provider]]\ncategory = \"email\"\nname = \"x\"\ntoolkits = {toolkits}\n")
        };
        let refused = ToolkitMapping::parse(&row("[\"a b\"]")).unwrap_err().to_string();
        assert_eq!(refused, "`email` `x`: `a b` is not a toolkit slug");
        let twice = ToolkitMapping::parse(&(row("[]") + &row("[\"a\"]"))).unwrap_err().to_string();
        assert!(twice.contains("mapped twice"), "{twice}");
        let many =
            ToolkitMapping::parse(&row(&format!("[{}]", "\"a\", ".repeat(11)))).unwrap_err().to_string();
        assert_eq!(many, "`email` `x` has 11 toolkits; at most 10 are allowed");
        let shape = ToolkitMapping::parse(&row("3")).unwrap_err().to_string();
        assert!(shape.contains("line 4") && shape.contains("sequence"), "{shape}");
    }
}
