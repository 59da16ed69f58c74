//! Mode `jwt`: tokens signed by an issuer (RFC 7519).
//!
//! [`Verifier`] is the entry point. Everything in a token is checked: its algorithm must be configured and match the
//! key, its key must be published by the issuer, and its issuer and audience must match the settings. Times are checked
//! here instead of by the library, whose clock cannot be paused in tests.

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::jwks::{IssuerKeys, KeyLookup, KeySource};
use super::settings::{DEFAULT_TENANT, JwtSettings};
use super::tokens::Tenants;
use crate::domain::caller::Caller;
use crate::domain::clock::Clock;
use crate::domain::role::{MemberId, Role};
use crate::http::error::HttpError;

/// Maximum length of a token: longer ones do not pass common proxies.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

const KEYS_UNAVAILABLE: &str =
    "Tokens cannot be verified because the issuer's keys cannot be read. Retry after a short delay.";

/// Reason why a token is refused: the code for programs and the log, and the message. Neither repeats the token.
type Refusal = (&'static str, &'static str);

mod refusals {
    use super::Refusal;

    pub(super) const NO_JWT: Refusal = (
        "TOKEN_MALFORMED",
        "The token in `Authorization` is not a JWT with an accepted signature algorithm (`auth.jwt.algorithms`).",
    );
    pub(super) const UNKNOWN_KEY: Refusal = (
        "TOKEN_KEY",
        "The token's key is not published by its issuer: no key of `auth.jwt.jwks_url` has its `kid` and algorithm.",
    );
    pub(super) const FORGED: Refusal = (
        "TOKEN_SIGNATURE",
        "The token's signature is invalid: another key has signed it, or it was changed.",
    );
    pub(super) const ISSUER: Refusal =
        ("TOKEN_ISSUER", "The token is from another issuer: `iss` must be the one of `auth.jwt.issuer`.");
    pub(super) const AUDIENCE: Refusal = (
        "TOKEN_AUDIENCE",
        "The token is for another audience: `aud` must contain one of `auth.jwt.audience`.",
    );
    pub(super) const INCOMPLETE: Refusal =
        ("TOKEN_CLAIMS", "The token lacks `exp`, `iss` or `aud`, or one of them is malformed.");
    pub(super) const EXPIRED: Refusal =
        ("TOKEN_EXPIRED", "The token has expired. Get a new one from its issuer.");
    pub(super) const NOT_YET: Refusal = (
        "TOKEN_NOT_YET_VALID",
        "The token is not valid yet (`nbf`). Use it later, or correct the issuer's clock.",
    );
    pub(super) const NO_ROLE: Refusal = (
        "TOKEN_ROLE",
        "The token's claims contain no role: the claim of `auth.jwt.role_claim` must be ADMIN or MEMBER.",
    );
    pub(super) const NO_TENANT: Refusal = (
        "TOKEN_TENANT",
        "The token's claims contain no known tenant: the claim of `auth.jwt.tenant_claim` must be the name of one with \
         both API keys. With `tenant_claim = \"\"`, all tokens belong to \"default\".",
    );
    pub(super) const NO_MEMBER: Refusal = (
        "TOKEN_USER_ID",
        "The token's claims contain no valid user id of a member: the claim of `auth.jwt.user_id_claim` must be a text \
         that is not empty and has no comma.",
    );
}

/// Creates a 401: the token is invalid.
fn invalid((reason, message): Refusal) -> HttpError {
    HttpError::bad_credentials(message).with_reason(reason)
}

/// Creates a 403: the token is valid but gives no access.
fn denied((reason, message): Refusal) -> HttpError {
    HttpError::forbidden(message).with_reason(reason)
}

/// Verifies the tokens of one issuer.
pub struct Verifier {
    settings: JwtSettings,
    keys: IssuerKeys,
    tenants: Tenants,
    clock: Clock,
}

impl Verifier {
    /// Creates a verifier. The issuer's keys are read when they are first needed.
    #[must_use]
    pub fn new(settings: JwtSettings, source: KeySource, tenants: Tenants, clock: Clock) -> Self {
        let keys = IssuerKeys::new(source, settings.jwks_ttl(), settings.jwks_pause(), clock);
        Self { settings, keys, tenants, clock }
    }

    /// Reuses the keys of another verifier if both have the same URL and intervals. A file is read again.
    pub(super) fn reusing_keys_of(&self, other: &Self) -> Self {
        let (ours, theirs) = (&self.settings, &other.settings);
        let source = |settings: &JwtSettings| {
            (settings.jwks_url.clone(), settings.jwks_ttl_ms, settings.jwks_pause_ms)
        };
        let have_same_source = ours.jwks_file().is_none() && source(ours) == source(theirs);
        let keys = if have_same_source { &other.keys } else { &self.keys };
        Self { settings: ours.clone(), keys: keys.clone(), tenants: self.tenants.clone(), clock: self.clock }
    }

    /// Returns the caller of a token.
    pub(super) async fn authenticate(&self, token: &str) -> Result<Caller, HttpError> {
        let Header { alg, kid, .. } = self.parse_header(token)?;
        let key = match self.keys.find(kid.as_deref(), alg).await {
            KeyLookup::Found(key) => key,
            KeyLookup::Unknown => return Err(invalid(refusals::UNKNOWN_KEY)),
            KeyLookup::Unreadable => return Err(HttpError::overloaded(KEYS_UNAVAILABLE)),
        };
        let claims = self.verify(token, alg, &key)?;
        let expires_at = self.check_times(&claims)?;
        Ok(Caller { expires_at, ..self.caller(&claims)? })
    }

    /// Parses a token's header. The library does not support `none`, and algorithms with shared secrets cannot be
    /// configured.
    fn parse_header(&self, token: &str) -> Result<Header, HttpError> {
        let header = Some(token).filter(|token| token.len() <= TOKEN_BYTES_MAX);
        header
            .and_then(|token| decode_header(token).ok())
            // Unknown critical extensions must be refused (RFC 7515, 4.1.11).
            .filter(|header| self.settings.algorithms.allow(header.alg) && header.crit.is_none())
            .ok_or_else(|| invalid(refusals::NO_JWT))
    }

    fn verify(&self, token: &str, algorithm: Algorithm, key: &DecodingKey) -> Result<Value, HttpError> {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&self.settings.audiences());
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        let decoded = decode::<Value>(token, key, &validation).map_err(|error| {
            invalid(match error.kind() {
                ErrorKind::InvalidIssuer => refusals::ISSUER,
                ErrorKind::InvalidAudience => refusals::AUDIENCE,
                ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => refusals::INCOMPLETE,
                ErrorKind::InvalidSignature => refusals::FORGED,
                _ => refusals::NO_JWT,
            })
        })?;
        // The library accepts a list, but the claim is one string (RFC 7519, 4.1.1).
        match decoded.claims.get("iss") {
            Some(Value::String(_)) => Ok(decoded.claims),
            _ => Err(invalid(refusals::INCOMPLETE)),
        }
    }

    /// Checks the times (RFC 7519, 4.1.4 and 4.1.5) with the configured leeway. Returns the expiry; `None` if it is too
    /// far away to be represented.
    fn check_times(&self, claims: &Value) -> Result<Option<Instant>, HttpError> {
        let (now, leeway) =
            (self.clock.now().as_duration().as_secs_f64(), self.settings.leeway().as_secs_f64());
        let timestamp = |name: &str| claims.get(name).map(|value| value.as_f64());
        let seconds_left = match timestamp("exp") {
            Some(Some(expiry)) if now < expiry + leeway => expiry + leeway - now,
            Some(Some(_)) => return Err(invalid(refusals::EXPIRED)),
            Some(None) | None => return Err(invalid(refusals::INCOMPLETE)),
        };
        let time_left = Duration::try_from_secs_f64(seconds_left).ok();
        let expires_at = time_left.and_then(|time_left| Instant::now().checked_add(time_left));
        match timestamp("nbf") {
            None => Ok(expires_at),
            Some(Some(begin)) if begin - leeway <= now => Ok(expires_at),
            Some(_) => Err(invalid(refusals::NOT_YET)),
        }
    }

    /// Returns the caller that a valid token identifies. A caller without a role or tenant gets 403, not 401.
    fn caller(&self, claims: &Value) -> Result<Caller, HttpError> {
        let text = |name: &str| claim(claims, name).and_then(Value::as_str);
        let is_admin = is_admin(claim(claims, &self.settings.role_claim)).ok_or(denied(refusals::NO_ROLE))?;
        let tenant = match self.settings.tenant_claim.as_str() {
            "" => Some(DEFAULT_TENANT),
            name => text(name),
        };
        let tenant = tenant.and_then(|name| self.tenants.get(name));
        let tenant = tenant.ok_or(denied(refusals::NO_TENANT))?.clone();
        let role = if is_admin {
            Role::Admin
        } else {
            let id = text(&self.settings.user_id_claim).and_then(|id| MemberId::new(id).ok());
            Role::Member(id.ok_or(denied(refusals::NO_MEMBER))?)
        };
        Ok(Caller { name: text("sub").unwrap_or("jwt").into(), role, tenant, expires_at: None })
    }
}

/// Returns the hash of a subject in the log: `sub:` and the first 16 hexadecimal digits of its SHA-256.
pub(super) fn subject_hash(subject: &str) -> String {
    let digest = Sha256::digest(subject);
    digest.iter().take(8).fold("sub:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Returns a claim by its name, or by a JSON Pointer (RFC 6901), which starts with a slash.
fn claim<'c>(claims: &'c Value, name: &str) -> Option<&'c Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

/// Whether a claim has the role ADMIN (true) or MEMBER (false), as a string or in a list of strings. Returns `None` if
/// it has neither or both.
fn is_admin(claim: Option<&Value>) -> Option<bool> {
    let words = match claim? {
        Value::Array(words) => words.as_slice(),
        word => std::slice::from_ref(word),
    };
    let has = |role: &str| words.iter().filter_map(Value::as_str).any(|word| word.eq_ignore_ascii_case(role));
    match (has("ADMIN"), has("MEMBER")) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_must_be_unambiguous() {
        for (claim, role) in [
            (json!("ADMIN"), Some(true)),
            (json!("member"), Some(false)),
            (json!(["editor", "Member", 7]), Some(false)),
            (json!(["member", "admin"]), None),
            (json!("administrator"), None),
            (json!([]), None),
            (json!(true), None),
            (json!({ "admin": true }), None),
        ] {
            assert_eq!(is_admin(Some(&claim)), role, "{claim}");
        }
        assert_eq!(is_admin(None), None);
    }

    #[test]
    fn a_claim_is_found_by_its_name_or_by_a_pointer() {
        let claims = json!({ "https://example.com/role": "a", "realm": { "roles": ["b"] } });
        assert_eq!(claim(&claims, "https://example.com/role"), Some(&json!("a")));
        assert_eq!(claim(&claims, "/realm/roles/0"), Some(&json!("b")));
        assert_eq!(claim(&claims, "realm.roles"), None);
    }
}
