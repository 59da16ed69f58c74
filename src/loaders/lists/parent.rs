//! Parents of account lists: some toolkits, a user, an auth config, or the whole project.
//!
//! `multi_parent` and `counts` join the lists of parents of one kind into one upstream list ([`Parent::union`]).
//! [`Parent::owns`] assigns its rows to the parents.

use crate::domain::accounts::ConnectedAccount;
use crate::domain::filters::{AccountFilter, FilterValues};
use crate::domain::input::BadInput;
use crate::domain::toolkits::ToolkitSlug;

/// Owner of the accounts of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Parent {
    /// The whole project.
    Project,
    /// Any of several toolkits.
    Toolkits(FilterValues),
    /// One end user.
    User(FilterValues),
    /// One auth config.
    AuthConfig(FilterValues),
}

impl Parent {
    /// Creates the parent of the accounts of some toolkits.
    ///
    /// # Errors
    /// `BAD_FILTER` if there are more toolkits than a filter allows.
    pub fn toolkits<'a>(slugs: impl IntoIterator<Item = &'a ToolkitSlug>) -> Result<Self, BadInput> {
        Ok(Self::Toolkits(FilterValues::new("toolkits", slugs.into_iter().map(ToolkitSlug::as_str))?))
    }

    /// Creates the parent of the accounts of an end user.
    ///
    /// # Errors
    /// `BAD_FILTER` for an id that would widen the upstream's filter.
    pub fn user(id: &str) -> Result<Self, BadInput> {
        Ok(Self::User(FilterValues::one("userIds", id)?))
    }

    /// Creates the parent of the accounts of an auth config.
    ///
    /// # Errors
    /// `BAD_FILTER` for an id that would widen the upstream's filter.
    pub fn auth_config(id: &str) -> Result<Self, BadInput> {
        Ok(Self::AuthConfig(FilterValues::one("authConfigIds", id)?))
    }

    /// Narrows a filter to this parent.
    #[must_use]
    pub fn narrow(&self, filter: &AccountFilter) -> AccountFilter {
        let mut filter = filter.clone();
        match self {
            Self::Project => {}
            Self::Toolkits(slugs) => filter.toolkits = Some(slugs.clone()),
            Self::User(id) => filter.user_ids = Some(id.clone()),
            Self::AuthConfig(id) => filter.auth_config_ids = Some(id.clone()),
        }
        filter
    }

    pub(crate) fn owns(&self, account: &ConnectedAccount) -> bool {
        match self {
            Self::Project => true,
            Self::Toolkits(slugs) => slugs.contains(account.toolkit.as_str()),
            Self::User(id) => account.user_id.as_deref().is_some_and(|user| id.contains(user)),
            Self::AuthConfig(id) => id.contains(&account.auth_config.id),
        }
    }

    /// Returns the number of bytes that the parent adds to a URL, including commas.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Self::Project => 0,
            Self::Toolkits(values) | Self::User(values) | Self::AuthConfig(values) => {
                values.iter().map(|value| value.len() + 1).sum()
            }
        }
    }

    /// Joins parents of one kind.
    pub(crate) fn union(parents: &[Self]) -> Self {
        let of = |parent: &'_ Self| match parent {
            Self::Project => None,
            Self::Toolkits(values) | Self::User(values) | Self::AuthConfig(values) => Some(values.clone()),
        };
        let values = FilterValues::union(&parents.iter().filter_map(of).collect::<Vec<_>>());
        match parents.first() {
            None | Some(Self::Project) => Self::Project,
            Some(Self::Toolkits(_)) => Self::Toolkits(values),
            Some(Self::User(_)) => Self::User(values),
            Some(Self::AuthConfig(_)) => Self::AuthConfig(values),
        }
    }
}
