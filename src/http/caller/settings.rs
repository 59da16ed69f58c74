//! Settings of authentication.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::settings::Ranges;
use jsonwebtoken::Algorithm;
use secrecy::SecretString;
use serde::Deserialize;

/// Name of the tenant of the plain `upstream.*.api_key` settings.
pub const DEFAULT_TENANT: &str = "default";

/// `[auth]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// The authentication mode.
    pub mode: AuthMode,
    /// `[[auth.tokens]]`
    pub tokens: Vec<TokenSettings>,
    /// `[auth.jwt]`
    pub jwt: JwtSettings,
}

/// The authentication mode. It also decides whose keys are used for the upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// No authentication: clients on this machine are administrators of the tenant `default`. Refused unless on
    /// loopback.
    None,
    /// Clients send one of the configured tokens.
    Tokens,
    /// Clients send a token signed by an issuer.
    Jwt,
    /// Clients send their own upstream API keys, each for its own upstream.
    Passthrough,
}

/// A role in settings and claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// Full access to the tenant.
    Admin,
    /// Access to one end user's accounts.
    Member,
}

/// An entry of `[[auth.tokens]]`: a token, configured by its hash.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// The caller's display name.
    pub name: String,
    /// The SHA-256 of the token's text in 64 hexadecimal digits.
    pub sha256: String,
    /// The caller's role.
    pub role: RoleName,
    /// The tenant whose data the caller reads.
    pub tenant: String,
    /// The member's user id; empty for an admin.
    pub user_id: String,
    /// The maximum number of requests in a window of `[rate_limits]`; 0 for the limit of the role.
    pub rate_limit_requests: u64,
    /// The maximum complexity in a window; 0 for the limit of the role.
    pub rate_limit_complexity: u64,
    /// The maximum number of upstream calls in a window; 0 for the limit of the role.
    pub rate_limit_upstream_calls: u64,
}

/// `[auth.jwt]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSettings {
    /// The URL of the issuer's keys; empty if a file has them.
    pub jwks_url: String,
    /// The file of the issuer's keys; empty if a URL has them.
    pub jwks_file: PathBuf,
    /// Milliseconds after which the keys are read again.
    pub jwks_ttl_ms: u64,
    /// Minimum milliseconds between two reads, even if tokens name unknown keys.
    pub jwks_pause_ms: u64,
    /// The required issuer (`iss`).
    pub issuer: String,
    /// The accepted audiences (`aud`), separated by commas.
    pub audience: String,
    /// The accepted signature algorithms.
    pub algorithms: Algorithms,
    /// Accepted clock difference in milliseconds.
    pub leeway_ms: u64,
    /// The claim with the role.
    pub role_claim: String,
    /// The claim with the tenant's name; empty if all callers belong to the tenant `default`.
    pub tenant_claim: String,
    /// The claim with a member's user id.
    pub user_id_claim: String,
}

impl JwtSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("jwks_ttl_ms", 1_000..=86_400_000), ("jwks_pause_ms", 1..=3_600_000), ("leeway_ms", 0..=600_000)];

    /// Returns the file of keys.
    #[must_use]
    pub fn jwks_file(&self) -> Option<&Path> {
        (!self.jwks_file.as_os_str().is_empty()).then_some(self.jwks_file.as_path())
    }

    /// Returns the accepted audiences.
    #[must_use]
    pub fn audiences(&self) -> Vec<&str> {
        self.audience.split(',').map(str::trim).filter(|audience| !audience.is_empty()).collect()
    }

    pub(super) fn jwks_ttl(&self) -> Duration {
        Duration::from_millis(self.jwks_ttl_ms)
    }

    pub(super) fn jwks_pause(&self) -> Duration {
        Duration::from_millis(self.jwks_pause_ms)
    }

    pub(super) fn leeway(&self) -> Duration {
        Duration::from_millis(self.leeway_ms)
    }
}

/// Signature algorithms with public keys. Shared secrets are excluded because Switchboard itself could sign with them,
/// and `none` is not a signature.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Algorithms(Vec<Algorithm>);

/// RFC 7518, 3.1 and RFC 8037, 3.1, without the symmetric ones; ES512 has no implementation here.
const ASYMMETRIC: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

impl Algorithms {
    pub(super) fn allow(&self, algorithm: Algorithm) -> bool {
        self.0.contains(&algorithm)
    }
}

impl TryFrom<String> for Algorithms {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = |word: &str| match ASYMMETRIC.iter().find(|(name, _)| *name == word) {
            Some((_, algorithm)) => Ok(*algorithm),
            None => {
                let all = ASYMMETRIC.map(|(name, _)| name).join(", ");
                Err(format!("`{word}` is not one of {all}. Tokens must be signed with a private key"))
            }
        };
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let algorithms = words.map(known).collect::<Result<Vec<_>, _>>()?;
        if algorithms.is_empty() {
            return Err("no algorithm is named".to_owned());
        }
        Ok(Self(algorithms))
    }
}

/// An entry of `[[tenants]]`: a customer besides the one of the `upstream.*.api_key` settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSettings {
    /// The tenant's name in tokens.
    pub name: String,
    /// The LeadLex API key.
    pub leadlex_api_key: SecretString,
    /// The Composio API key.
    pub composio_api_key: SecretString,
    /// The secrets with which Composio signs webhook deliveries, separated by commas.
    pub composio_webhook_secrets: SecretString,
}
