//! What may be shown of a connection's authentication.
//!
//! There is no place in here for a secret: a field of the upstream's open `state.val` is either on
//! the allow-list of UPSTREAMS.md A4, or only its *name* is kept.

use jiff::Timestamp;

use super::accounts::AuthScheme;
use super::vocabulary::Word;

/// The public part of `state`.
#[derive(Debug)]
pub struct ConnectionState {
    /// `state.authScheme`.
    pub auth_scheme: Word<AuthScheme>,
    /// `val.status`; it can differ from the account's own.
    pub status: Option<Box<str>>,
    /// `val.scope`, a string or a list, as a list.
    pub scopes: Vec<Box<str>>,
    /// `val.token_type`.
    pub token_type: Option<Box<str>>,
    /// `val.expires_at`.
    pub expires_at: Option<Timestamp>,
    /// `val.expired_at`.
    pub expired_at: Option<Timestamp>,
    /// `val.revoked_at`.
    pub revoked_at: Option<Timestamp>,
    /// `val.error`, a code.
    pub error: Option<Box<str>>,
    /// `val.error_description`.
    pub error_description: Option<Box<str>>,
    /// The settings that are known to be no secret, by name, in the upstream's order.
    pub settings: Vec<ConnectionSetting>,
    /// The names, and the names alone, of everything else that `val` holds.
    pub withheld: Vec<Box<str>>,
}

/// One public setting of a connection.
#[derive(Debug)]
pub struct ConnectionSetting {
    /// The upstream's name for it.
    pub name: &'static str,
    /// Its value as text.
    pub value: Box<str>,
}

impl ConnectionState {
    /// About how many bytes it holds outside of itself.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let text = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        let list =
            |list: &[Box<str>]| list.iter().map(|item| item.len() + size_of::<Box<str>>()).sum::<usize>();
        self.auth_scheme.weight_bytes()
            + list(&self.scopes)
            + list(&self.withheld)
            + self
                .settings
                .iter()
                .map(|setting| setting.value.len() + size_of::<ConnectionSetting>())
                .sum::<usize>()
            + text(&self.status)
            + text(&self.token_type)
            + text(&self.error)
            + text(&self.error_description)
    }
}
