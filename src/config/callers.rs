//! What the settings of callers must be, and what to each other: tenants, tokens, and the issuer of JWTs.
//!
//! What a mode does not use is judged by itself alone, so that switching it on later brings no old slip to light, and never
//! for what is missing.

use std::collections::BTreeSet;
use std::fs;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::layers::Layers;
use super::rules::{is_of_this_machine, key, missing_key};
use super::{Config, Keys};
use crate::domain::upstream_name::{Composio, Leadlex};
use crate::http::caller::keys;
use crate::http::caller::settings::{AuthMode, JwtSettings, TokenSettings};
use crate::http::caller::tokens::BadToken;
use crate::http::webhook;

/// The tenant of the plain `upstream.*.api_key` settings.
const DEFAULT: &str = "default";

const WEBHOOK_SECRET_BYTES_MIN: usize = 16;

pub(super) fn judge(config: &Config, keys: Keys, layers: &mut Layers<'_>) {
    let mode = Some(config.auth.mode).filter(|_| !layers.concern("auth.mode"));
    let names: Vec<&str> = config.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    judge_names("tenants", &names, layers);
    let uses_tenants = matches!(mode, Some(AuthMode::Tokens | AuthMode::Jwt));
    for (tenant, entry) in config.tenants.iter().zip(layers.entries_mut("tenants")) {
        if tenant.name == DEFAULT {
            entry.refuse("name", "is the tenant of the plain upstream.*.api_key settings: take another");
        }
        key::<Leadlex>("leadlex_api_key", &tenant.leadlex_api_key, entry);
        key::<Composio>("composio_api_key", &tenant.composio_api_key, entry);
        webhook_secrets("composio_webhook_secrets", &tenant.composio_webhook_secrets, entry);
        if keys == Keys::Required && uses_tenants {
            missing_key("leadlex_api_key", "give one", entry);
            missing_key("composio_api_key", "give one", entry);
        }
    }
    webhook_secrets("webhooks.composio_secrets", &config.webhooks.composio_secrets, layers);
    tokens(config, layers);
    if mode == Some(AuthMode::Tokens) && config.auth.tokens.is_empty() {
        let message = "\"tokens\" lets nobody in without [[auth.tokens]]: `switchboard token new` makes one";
        layers.refuse("auth.mode", message);
    }
    jwt(&config.auth.jwt, mode == Some(AuthMode::Jwt), layers);
}

/// Whoever guesses a secret can have everything read again as often as it likes.
fn webhook_secrets(name: &str, setting: &SecretString, layers: &mut Layers<'_>) {
    let is_short = |secret: &SecretString| secret.expose_secret().len() < WEBHOOK_SECRET_BYTES_MIN;
    if webhook::settings::secrets(setting).iter().any(is_short) {
        layers.refuse(
            name,
            format!("one is too short to be a secret: {WEBHOOK_SECRET_BYTES_MIN} characters or more"),
        );
    }
}

/// Whether callers with tokens read with the plain `upstream.*.api_key` settings.
pub(super) fn are_of_default_tenant(config: &Config) -> bool {
    match config.auth.mode {
        AuthMode::Tokens => config.auth.tokens.iter().any(|token| token.tenant == DEFAULT),
        AuthMode::Jwt => config.auth.jwt.tenant_claim.is_empty() || config.tenants.is_empty(),
        AuthMode::None | AuthMode::Passthrough => false,
    }
}

/// Names tell entries apart in answers and in logs.
fn judge_names(list: &str, names: &[&str], layers: &mut Layers<'_>) {
    let mut taken = BTreeSet::new();
    for (name, entry) in names.iter().zip(layers.entries_mut(list)) {
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte));
        if !fits {
            entry.refuse("name", "takes 1 to 64 letters, digits, `_`, `-`, `.` and `@`");
        } else if !taken.insert(*name) {
            entry.refuse("name", format!("{name:?} is another entry's name as well"));
        }
    }
}

fn tokens(config: &Config, layers: &mut Layers<'_>) {
    let tokens = &config.auth.tokens;
    judge_names("auth.tokens", &tokens.iter().map(|token| token.name.as_str()).collect::<Vec<_>>(), layers);
    let mut hashes = BTreeSet::new();
    for (token, entry) in tokens.iter().zip(layers.entries_mut("auth.tokens")) {
        judge_token(token, entry);
        match token.digest() {
            Ok(digest) if !hashes.insert(digest) => {
                entry.refuse("sha256", "is another entry's as well: each bearer needs a token of its own");
            }
            _ => {}
        }
        let is_tenant =
            token.tenant == DEFAULT || config.tenants.iter().any(|tenant| tenant.name == token.tenant);
        if !is_tenant {
            let known = config.tenants.iter().map(|tenant| tenant.name.as_str());
            let known: Vec<&str> = std::iter::once(DEFAULT).chain(known).collect();
            entry.refuse("tenant", format!("{:?} is none of {}", token.tenant, known.join(", ")));
        }
    }
}

fn judge_token(token: &TokenSettings, entry: &mut Layers<'_>) {
    if let Err(bad) = token.digest() {
        entry.refuse("sha256", bad.to_string());
    }
    match token.role() {
        // Of a wrong role nothing more need be said.
        Err(bad @ (BadToken::Member(_) | BadToken::AdminWithUser)) if !entry.concern("role") => {
            entry.refuse("user_id", bad.to_string());
        }
        _ => {}
    }
}

fn jwt(jwt: &JwtSettings, is_used: bool, layers: &mut Layers<'_>) {
    if is_used {
        for (name, is_missing) in [
            ("auth.jwt.issuer", jwt.issuer.is_empty()),
            ("auth.jwt.audience", jwt.audiences().is_empty()),
            ("auth.jwt.role_claim", jwt.role_claim.is_empty()),
            ("auth.jwt.user_id_claim", jwt.user_id_claim.is_empty()),
        ] {
            if is_missing {
                layers.refuse(name, "missing: auth.mode = \"jwt\" needs it");
            }
        }
        if jwt.jwks_url.is_empty() && jwt.jwks_file().is_none() {
            let message = "missing: auth.mode = \"jwt\" needs it, or a file in auth.jwt.jwks_file";
            layers.refuse("auth.jwt.jwks_url", message);
        }
    }
    if !jwt.jwks_url.is_empty() {
        if let Some(why) = url_objection(&jwt.jwks_url) {
            layers.refuse("auth.jwt.jwks_url", why);
        } else if jwt.jwks_file().is_some() {
            layers.refuse("auth.jwt.jwks_file", "set beside auth.jwt.jwks_url: give one of the two");
        }
    }
    if let Some(path) = jwt.jwks_file().filter(|_| jwt.jwks_url.is_empty()) {
        match fs::read(path).map(|text| keys::Keys::parse(&text)) {
            Ok(Ok(_)) => {}
            Ok(Err(why)) => layers.refuse("auth.jwt.jwks_file", format!("{path:?}: {why}")),
            Err(error) => layers.refuse("auth.jwt.jwks_file", format!("cannot read {path:?}: {error}")),
        }
    }
}

/// Keys that came over a line that others can write to are anybody's. The URL is not repeated: it could hold a password.
fn url_objection(text: &str) -> Option<String> {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return Some(format!("is no URL: {error}")),
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_of_this_machine(&url)) {
        return Some(
            "takes https, and http to this machine alone: whoever can change the keys can sign".to_owned(),
        );
    }
    let why = if !url.username().is_empty() || url.password().is_some() {
        "holds a user name or password, which belongs to no setting"
    } else if url.query().is_some() || url.fragment().is_some() {
        "holds a query or a fragment, where a secret could stand: keys are public, and so is the URL of theirs"
    } else {
        return None;
    };
    Some(why.to_owned())
}

#[cfg(test)]
mod tests;
