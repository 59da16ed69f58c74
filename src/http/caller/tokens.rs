//! Mode `tokens`: bearer tokens, configured by their hashes.
//!
//! Plain SHA-256 is enough for a token of 256 random bits, which cannot be guessed. Rejected: a slow password hash. It
//! protects guessable secrets, at a cost for every request.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::settings::{RoleName, TokenSettings};
use crate::domain::caller::{Caller, Tenant};
use crate::domain::hex::read_hex;
use crate::domain::role::{InvalidMemberId, MemberId, Role};
use crate::http::error::HttpError;
use crate::operation::rate_limits::settings::RateLimits;

const UNKNOWN: &str =
    "The token in `Authorization` is not valid: no [[auth.tokens]] entry of the server has its hash.";

/// The prefix of tokens, so that people and secret scanners recognize a leaked one.
const PREFIX: &str = "swb_";
const RANDOM_BYTES: usize = 32;

/// The tenants by name.
pub type Tenants = BTreeMap<String, Tenant>;

/// The configured tokens: their hashes and callers.
#[derive(Debug)]
pub struct Tokens(Vec<(Digest, Caller)>);

type Digest = [u8; 32];

/// An invalid `[[auth.tokens]]` entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTokenEntry {
    /// Not a SHA-256 hash.
    #[error("expected the 64 hexadecimal digits that `switchboard token new` prints")]
    Hash,
    /// A member without a valid user id.
    #[error("{0}")]
    Member(#[from] InvalidMemberId),
    /// An admin with a user id.
    #[error("an admin has no user id. Remove it, or set role = \"member\"")]
    AdminWithUser,
    /// An unknown tenant.
    #[error("unknown tenant")]
    Tenant,
}

impl TokenSettings {
    /// Parses the hash.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn digest(&self) -> Result<[u8; 32], InvalidTokenEntry> {
        read_hex(&self.sha256).ok_or(InvalidTokenEntry::Hash)
    }

    /// Returns the token's own rate limits.
    #[must_use]
    pub fn rate_limits(&self) -> RateLimits {
        RateLimits {
            requests: self.rate_limit_requests,
            complexity: self.rate_limit_complexity,
            upstream_calls: self.rate_limit_upstream_calls,
        }
    }

    /// Returns the role of the token's caller.
    ///
    /// # Errors
    /// For a member without a valid id, and for an admin with one.
    pub fn role(&self) -> Result<Role, InvalidTokenEntry> {
        match self.role {
            RoleName::Admin if self.user_id.is_empty() => Ok(Role::Admin),
            RoleName::Admin => Err(InvalidTokenEntry::AdminWithUser),
            RoleName::Member => Ok(Role::Member(MemberId::new(&self.user_id)?)),
        }
    }
}

impl Tokens {
    /// Builds the configured tokens.
    ///
    /// # Errors
    /// If an entry has an invalid hash, tenant or user id.
    pub fn new(settings: &[TokenSettings], tenants: &Tenants) -> Result<Self, InvalidTokenEntry> {
        let known = settings.iter().map(|token| {
            let tenant = tenants.get(&token.tenant).ok_or(InvalidTokenEntry::Tenant)?.clone();
            let caller =
                Caller { name: token.name.as_str().into(), role: token.role()?, tenant, expires_at: None };
            Ok((token.digest()?, caller))
        });
        known.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the caller of a token. All hashes are compared completely, so that the duration reveals nothing about
    /// them.
    pub(super) fn authenticate(&self, token: &str) -> Result<Caller, HttpError> {
        let digest: Digest = Sha256::digest(token).into();
        let mut found = None;
        for (known, caller) in &self.0 {
            if known.ct_eq(&digest).into() {
                found = Some(caller);
            }
        }
        found.cloned().ok_or_else(|| HttpError::bad_credentials(UNKNOWN).with_reason("TOKEN_UNKNOWN"))
    }
}

/// A new token. Its text is printed once and stored nowhere.
pub struct NewToken {
    /// The text that clients send.
    pub text: String,
    /// The hash for the configuration.
    pub sha256: String,
}

impl NewToken {
    /// Creates a token of 256 random bits.
    ///
    /// # Errors
    /// If the operating system provides no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes)?;
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let sha256 = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { text, sha256 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants() -> Tenants {
        Tenants::from([("default".to_owned(), Tenant { leadlex: None, composio: None })])
    }

    fn settings(token: &NewToken, role: RoleName, user_id: &str) -> TokenSettings {
        TokenSettings {
            name: "frontend".to_owned(),
            sha256: token.sha256.clone(),
            role,
            tenant: "default".to_owned(),
            user_id: user_id.to_owned(),
            rate_limit_requests: 0,
            rate_limit_complexity: 0,
            rate_limit_upstream_calls: 0,
        }
    }

    #[test]
    fn new_tokens_are_unique_and_recognized_by_their_hash() {
        let (one, other) = (NewToken::random().unwrap(), NewToken::random().unwrap());
        assert!(one.text.starts_with("swb_") && one.text.len() == 4 + 43, "{}", one.text);
        assert!(one.text != other.text && one.sha256 != other.sha256 && one.sha256.len() == 64);
        let known = [settings(&one, RoleName::Admin, ""), settings(&other, RoleName::Member, "user_1")];
        let tokens = Tokens::new(&known, &tenants()).unwrap();
        assert_eq!(tokens.authenticate(&one.text).unwrap().role, Role::Admin);
        assert_eq!(tokens.authenticate(&other.text).unwrap().view().member().unwrap().as_str(), "user_1");
        for wrong in [&one.sha256, "swb_", "", &one.text.to_uppercase(), &format!("{}x", one.text)] {
            assert!(tokens.authenticate(wrong).is_err(), "{wrong}");
        }
        assert!(!format!("{tokens:?}").contains(&one.text));
    }

    #[test]
    fn invalid_entries_are_refused_with_a_reason() {
        let token = NewToken::random().unwrap();
        let refused = |settings: TokenSettings| Tokens::new(&[settings], &tenants()).unwrap_err();
        let right = || settings(&token, RoleName::Member, "user_1");
        for hash in ["", "ab", &token.text, &format!("{}0", token.sha256), &"é".repeat(32), &"g".repeat(64)]
        {
            assert_eq!(
                refused(TokenSettings { sha256: hash.to_owned(), ..right() }),
                InvalidTokenEntry::Hash,
                "{hash}"
            );
        }
        assert_eq!(
            refused(settings(&token, RoleName::Member, "a,b")),
            InvalidTokenEntry::Member(InvalidMemberId)
        );
        assert_eq!(
            refused(settings(&token, RoleName::Member, "")),
            InvalidTokenEntry::Member(InvalidMemberId)
        );
        assert_eq!(refused(settings(&token, RoleName::Admin, "user_1")), InvalidTokenEntry::AdminWithUser);
        assert_eq!(
            refused(TokenSettings { tenant: "none".to_owned(), ..right() }),
            InvalidTokenEntry::Tenant
        );
    }
}
