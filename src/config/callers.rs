//! Validation of the settings of callers: tenants, tokens, and the issuer of JWTs.
//!
//! Settings that `auth.mode` does not use are validated too, so that a later change of the mode reveals no old mistake.
//! A missing setting is reported only if the mode needs it.

use std::collections::BTreeSet;
use std::fs;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::checks::{reject_missing_key, validate_key};
use super::settings::{ApiKeys, Config};
use super::sources::SettingValues;
use crate::domain::upstream_name::{Composio, Leadlex};
use crate::domain::web_url::is_loopback;
use crate::http::caller::keys;
use crate::http::caller::settings::{AuthMode, DEFAULT_TENANT, JwtSettings, TokenSettings};
use crate::http::caller::tokens::InvalidTokenEntry;
use crate::http::webhook;
use crate::operation::rate_limits::settings::RateLimits;

const WEBHOOK_SECRET_BYTES_MIN: usize = 16;

/// Minimum length of the decoded key of a `whsec_…` secret, according to the Standard Webhooks specification.
const WEBHOOK_KEY_BYTES_MIN: usize = 24;

pub(super) fn validate(config: &Config, keys: ApiKeys, values: &mut SettingValues<'_>) {
    let mode = Some(config.auth.mode).filter(|_| !values.has_problem("auth.mode"));
    let names: Vec<&str> = config.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    validate_names("tenants", &names, values);
    let uses_tenants = matches!(mode, Some(AuthMode::Tokens | AuthMode::Jwt));
    for (tenant, entry) in config.tenants.iter().zip(values.entries_mut("tenants")) {
        if tenant.name == DEFAULT_TENANT {
            entry.add_problem(
                "name",
                "\"default\" is reserved: it is the tenant of the upstream.*.api_key settings; use another name",
            );
        }
        validate_key::<Leadlex>("leadlex_api_key", &tenant.leadlex_api_key, entry);
        validate_key::<Composio>("composio_api_key", &tenant.composio_api_key, entry);
        validate_webhook_secrets("composio_webhook_secrets", &tenant.composio_webhook_secrets, entry);
        if keys == ApiKeys::Required && uses_tenants {
            reject_missing_key("leadlex_api_key", "set it", entry);
            reject_missing_key("composio_api_key", "set it", entry);
        }
    }
    validate_webhook_secrets("webhooks.composio_secrets", &config.webhooks.composio_secrets, values);
    validate_tokens(config, values);
    if mode == Some(AuthMode::Tokens) && config.auth.tokens.is_empty() {
        let message =
            "\"tokens\" needs at least one [[auth.tokens]] entry: `switchboard token new` creates one";
        values.add_problem("auth.mode", message);
    }
    validate_jwt(&config.auth.jwt, mode == Some(AuthMode::Jwt), values);
}

/// Validates webhook secrets: with a guessed secret, anyone could invalidate the cache at will.
fn validate_webhook_secrets(name: &str, setting: &SecretString, values: &mut SettingValues<'_>) {
    let is_short = |secret: &SecretString| secret.expose_secret().len() < WEBHOOK_SECRET_BYTES_MIN;
    let secrets = webhook::settings::secrets(setting);
    if secrets.iter().any(is_short) {
        values.add_problem(
            name,
            format!("a secret is too short: it must have at least {WEBHOOK_SECRET_BYTES_MIN} bytes"),
        );
    } else if let Some(bytes) = secrets
        .iter()
        .filter_map(webhook::settings::decoded)
        .map(|key| key.len())
        .find(|bytes| *bytes < WEBHOOK_KEY_BYTES_MIN)
    {
        let message = format!(
            "the base64 after `whsec_` is a key of {bytes} bytes, which is too short: it must have at least \
             {WEBHOOK_KEY_BYTES_MIN} bytes; create a new secret"
        );
        values.add_problem(name, message);
    }
}

/// Whether callers with tokens or JWTs can belong to the tenant of the plain `upstream.*.api_key` settings.
pub(super) fn can_use_default_tenant(config: &Config) -> bool {
    match config.auth.mode {
        AuthMode::Tokens => config.auth.tokens.iter().any(|token| token.tenant == DEFAULT_TENANT),
        AuthMode::Jwt => config.auth.jwt.tenant_claim.is_empty() || config.tenants.is_empty(),
        AuthMode::None | AuthMode::Passthrough => false,
    }
}

/// Validates the names of a list's entries, which identify them in responses and logs.
fn validate_names(list: &str, names: &[&str], values: &mut SettingValues<'_>) {
    let mut taken = BTreeSet::new();
    for (name, entry) in names.iter().zip(values.entries_mut(list)) {
        let is_valid = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte));
        if !is_valid {
            entry.add_problem("name", "must have 1 to 64 letters, digits, `_`, `-`, `.` and `@`");
        } else if !taken.insert(*name) {
            entry.add_problem("name", format!("{name:?} is the name of another entry: names must be unique"));
        }
    }
}

fn validate_tokens(config: &Config, values: &mut SettingValues<'_>) {
    let tokens = &config.auth.tokens;
    let names: Vec<_> = tokens.iter().map(|token| token.name.as_str()).collect();
    validate_names("auth.tokens", &names, values);
    let mut hashes = BTreeSet::new();
    for (token, entry) in tokens.iter().zip(values.entries_mut("auth.tokens")) {
        validate_token(token, entry);
        match token.digest() {
            Ok(digest) if !hashes.insert(digest) => {
                entry.add_problem("sha256", "is the hash of another entry: each caller needs its own token");
            }
            _ => {}
        }
        let is_tenant =
            token.tenant == DEFAULT_TENANT || config.tenants.iter().any(|tenant| tenant.name == token.tenant);
        if !is_tenant {
            let known = config.tenants.iter().map(|tenant| tenant.name.as_str());
            let known: Vec<String> =
                std::iter::once(DEFAULT_TENANT).chain(known).map(|name| format!("{name:?}")).collect();
            entry.add_problem(
                "tenant",
                format!("{:?} is not a tenant; the tenants are {}", token.tenant, known.join(", ")),
            );
        }
    }
}

fn validate_token(token: &TokenSettings, entry: &mut SettingValues<'_>) {
    for (name, limit) in [
        ("rate_limit_requests", token.rate_limit_requests),
        ("rate_limit_complexity", token.rate_limit_complexity),
        ("rate_limit_upstream_calls", token.rate_limit_upstream_calls),
    ] {
        if limit > RateLimits::MAX.cast_unsigned() {
            entry.add_problem(
                name,
                format!("{limit} is out of range: it must be from 0 to {}", RateLimits::MAX),
            );
        }
    }
    if let Err(bad) = token.digest() {
        entry.add_problem("sha256", bad.to_string());
    }
    match token.role() {
        // An invalid role is already reported.
        Err(bad @ (InvalidTokenEntry::Member(_) | InvalidTokenEntry::AdminWithUser))
            if !entry.has_problem("role") =>
        {
            entry.add_problem("user_id", bad.to_string());
        }
        _ => {}
    }
}

fn validate_jwt(jwt: &JwtSettings, is_used: bool, values: &mut SettingValues<'_>) {
    if is_used {
        for (name, is_missing) in [
            ("auth.jwt.issuer", jwt.issuer.is_empty()),
            ("auth.jwt.audience", jwt.audiences().is_empty()),
            ("auth.jwt.role_claim", jwt.role_claim.is_empty()),
            ("auth.jwt.user_id_claim", jwt.user_id_claim.is_empty()),
        ] {
            if is_missing {
                values.add_problem(name, "missing: auth.mode = \"jwt\" needs it");
            }
        }
        if jwt.jwks_url.is_empty() && jwt.jwks_file().is_none() {
            let message = "missing: auth.mode = \"jwt\" needs it, or a file in auth.jwt.jwks_file";
            values.add_problem("auth.jwt.jwks_url", message);
        }
    }
    if !jwt.jwks_url.is_empty() {
        if let Some(why) = jwks_url_problem(&jwt.jwks_url) {
            values.add_problem("auth.jwt.jwks_url", why);
        } else if jwt.jwks_file().is_some() {
            values.add_problem("auth.jwt.jwks_file", "auth.jwt.jwks_url is set too: set only one of the two");
        }
    }
    if let Some(path) = jwt.jwks_file().filter(|_| jwt.jwks_url.is_empty()) {
        match fs::read(path).map(|text| keys::KeySet::parse(&text)) {
            Ok(Ok(_)) => {}
            Ok(Err(why)) => values.add_problem("auth.jwt.jwks_file", format!("{path:?}: {why}")),
            Err(error) => values.add_problem("auth.jwt.jwks_file", format!("cannot read {path:?}: {error}")),
        }
    }
}

/// Returns why a URL cannot be `auth.jwt.jwks_url`: on an unprotected connection, keys can be replaced. The text does
/// not repeat the URL, which could contain a password.
fn jwks_url_problem(text: &str) -> Option<String> {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return Some(format!("is not a URL: {error}")),
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        let why =
            "must use https, or http to this machine: an attacker who can change the keys can sign tokens";
        return Some(why.to_owned());
    }
    let why = if !url.username().is_empty() || url.password().is_some() {
        "contains a user name or password: remove it"
    } else if url.query().is_some() || url.fragment().is_some() {
        "contains a query or a fragment, which could hold a secret: the URL of public keys needs none"
    } else {
        return None;
    };
    Some(why.to_owned())
}

#[cfg(test)]
mod tests;
