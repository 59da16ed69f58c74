//! What can be set about callers: who may ask, and with whose keys the upstreams are read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::settings::Ranges;
use jsonwebtoken::Algorithm;
use secrecy::SecretString;
use serde::Deserialize;

/// `[auth]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// Who may ask.
    pub mode: AuthMode,
    /// `[[auth.tokens]]`
    pub tokens: Vec<TokenSettings>,
    /// `[auth.jwt]`
    pub jwt: JwtSettings,
}

/// Who may ask, and with whose keys the upstreams are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Anybody on this machine, as ADMIN of the tenant `default`; refused off loopback.
    None,
    /// Whoever has one of the configured tokens.
    Tokens,
    /// Whoever has a token that an issuer signed.
    Jwt,
    /// Whoever brings keys of their own, each for its own upstream alone.
    Passthrough,
}

/// The word for a role, in settings and in claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleWord {
    /// Sees its tenant.
    Admin,
    /// Sees one end user's accounts.
    Member,
}

/// An entry of `[[auth.tokens]]`: a token that this layer knows by its hash alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// What its bearer is called.
    pub name: String,
    /// The SHA-256 of the token's text, in 64 hexadecimal digits.
    pub sha256: String,
    /// What its bearer may see.
    pub role: RoleWord,
    /// Whose data it is about.
    pub tenant: String,
    /// The end user that a MEMBER is; empty for an ADMIN.
    pub user_id: String,
}

/// `[auth.jwt]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtSettings {
    /// Where the issuer publishes its keys; empty where a file holds them.
    pub jwks_url: String,
    /// The file that holds them; empty where a URL does.
    pub jwks_file: PathBuf,
    /// How long keys are used before they are read again, in milliseconds.
    pub jwks_ttl_ms: u64,
    /// The least time between two readings of them, in milliseconds, however many tokens name keys that there are not.
    pub jwks_pause_ms: u64,
    /// Who must have issued a token (`iss`).
    pub issuer: String,
    /// For whom a token must be (`aud`): one of these, with commas between.
    pub audience: String,
    /// What a token may be signed with.
    pub algorithms: Algorithms,
    /// How far clocks may differ, in milliseconds.
    pub leeway_ms: u64,
    /// The claim that holds the role.
    pub role_claim: String,
    /// The claim that holds the tenant's name; empty where all are of the tenant `default`.
    pub tenant_claim: String,
    /// The claim that holds a MEMBER's user id.
    pub user_id_claim: String,
}

impl JwtSettings {
    /// Allowed ranges.
    pub(crate) const RANGES: Ranges =
        &[("jwks_ttl_ms", 1_000..=86_400_000), ("jwks_pause_ms", 1..=3_600_000), ("leeway_ms", 0..=600_000)];

    /// The file of keys.
    #[must_use]
    pub fn jwks_file(&self) -> Option<&Path> {
        (!self.jwks_file.as_os_str().is_empty()).then_some(self.jwks_file.as_path())
    }

    /// The audiences, any of which a token may be for.
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

/// What tokens may be signed with: public keys alone, as a secret that both sides know is one that this layer could sign
/// with, and `none` is no signature.
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
                Err(format!("`{word}` is not one of {all}: tokens must be signed, and with a private key"))
            }
        };
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let algorithms = words.map(known).collect::<Result<Vec<_>, _>>()?;
        if algorithms.is_empty() {
            return Err("it names no algorithm".to_owned());
        }
        Ok(Self(algorithms))
    }
}

/// An entry of `[[tenants]]`: a customer beside the one of the plain `upstream.*.api_key` settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSettings {
    /// What tokens call it.
    pub name: String,
    /// Its key to LeadLex.
    pub leadlex_api_key: SecretString,
    /// Its key to Composio.
    pub composio_api_key: SecretString,
    /// What Composio signs its deliveries with; several with commas between.
    pub composio_webhook_secrets: SecretString,
}
