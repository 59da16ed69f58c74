//! Construction of the authentication of callers and webhooks from the configuration: tenants, tokens, the issuer of
//! JWTs, webhook secrets.

use std::sync::Arc;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::config::Config;
use crate::domain::caller::Tenant;
use crate::domain::clock::Clock;
use crate::domain::credential::Credential;
use crate::http::caller::Authenticator;
use crate::http::caller::jwks;
use crate::http::caller::jwt::Verifier;
use crate::http::caller::settings::{AuthMode, DEFAULT_TENANT, JwtSettings};
use crate::http::caller::tokens::{Tenants, Tokens};
use crate::http::webhook::{self, Webhooks};
use crate::upstream::transport;

/// Returns the authenticator of callers for `auth.mode`.
///
/// # Errors
/// If the issuer's URL is not valid or TLS cannot be set up.
pub fn callers(config: &Config) -> anyhow::Result<Authenticator> {
    // Only tenants with both keys: a caller with a token cannot supply a missing one.
    let tenants = || {
        let mut tenants = tenants(config);
        tenants.retain(|_, tenant| tenant.leadlex.is_some() && tenant.composio.is_some());
        tenants
    };
    Ok(match config.auth.mode {
        AuthMode::None => Authenticator::Open(default_tenant(config)),
        AuthMode::Tokens => {
            let tokens = Tokens::new(&config.auth.tokens, &tenants()).context("auth.tokens")?;
            Authenticator::Tokens(Arc::new(tokens))
        }
        AuthMode::Jwt => {
            let (jwt, clock) = (config.auth.jwt.clone(), Clock::system());
            let keys = issuer_keys(&jwt)?;
            Authenticator::Jwt(Arc::new(Verifier::new(jwt, keys, tenants(), clock)))
        }
        AuthMode::Passthrough => Authenticator::Passthrough,
    })
}

/// Returns the source of the public keys of the issuer of JWTs.
pub(super) fn issuer_keys(jwt: &JwtSettings) -> anyhow::Result<jwks::KeySource> {
    if let Some(path) = jwt.jwks_file() {
        return Ok(jwks::KeySource::File(path.to_owned()));
    }
    let url = Url::parse(&jwt.jwks_url).context("auth.jwt.jwks_url is not a URL")?;
    let network = transport::network(&url).context("cannot set up TLS")?;
    Ok(jwks::KeySource::Url(network, url))
}

/// Returns the secrets by which webhook deliveries are verified, each with its tenant.
pub(super) fn webhooks(config: &Config) -> Webhooks {
    let named = config.tenants.iter().map(|tenant| {
        (tenant_of_keys(&tenant.leadlex_api_key, &tenant.composio_api_key), &tenant.composio_webhook_secrets)
    });
    let all = named.chain([(default_tenant(config), &config.webhooks.composio_secrets)]);
    let secrets = all.flat_map(|(tenant, setting)| {
        webhook::settings::secrets(setting).into_iter().map(move |secret| (secret, tenant.clone()))
    });
    Webhooks::new(secrets.collect(), Clock::system())
}

/// Returns all tenants by name.
pub(super) fn tenants(config: &Config) -> Tenants {
    let named = config.tenants.iter().map(|tenant| {
        (tenant.name.clone(), tenant_of_keys(&tenant.leadlex_api_key, &tenant.composio_api_key))
    });
    // Without any key there is no default tenant.
    let default =
        Some(default_tenant(config)).filter(|tenant| tenant.leadlex.is_some() || tenant.composio.is_some());
    named.chain(default.map(|tenant| (DEFAULT_TENANT.to_owned(), tenant))).collect()
}

/// Returns the tenant of the plain `upstream.*.api_key` settings.
pub(super) fn default_tenant(config: &Config) -> Tenant {
    tenant_of_keys(&config.upstream.leadlex.api_key, &config.upstream.composio.api_key)
}

/// Returns the tenant of two key settings. An empty setting means no key; validation has refused malformed keys.
fn tenant_of_keys(leadlex: &SecretString, composio: &SecretString) -> Tenant {
    Tenant {
        leadlex: Credential::new(leadlex.expose_secret()).ok(),
        composio: Credential::new(composio.expose_secret()).ok(),
    }
}
