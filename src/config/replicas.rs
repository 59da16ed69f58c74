//! Validation of `[redis]`. Values are validated even if `redis.url` is not set; only missing ones are then not
//! reported.

use std::fs;
use std::net::IpAddr;

use secrecy::ExposeSecret as _;
use url::Url;

use super::settings::Config;
use super::sources::SettingValues;

const PEM: &str = "-----BEGIN CERTIFICATE-----";

pub(super) fn validate(config: &Config, values: &mut SettingValues<'_>) {
    let redis = &config.redis;
    let is_valid = (1..=64).contains(&redis.key_prefix.len())
        && redis.key_prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte));
    if !is_valid {
        values.add_problem("redis.key_prefix", "must have 1 to 64 letters, digits, `:`, `_` and `-`");
    }
    // A password needs no user name, because the default user has one too. A user name without a password would not
    // even be sent.
    let by_file = values.has_problem("redis.password") || values.has_problem("redis.password_file");
    if !redis.username.is_empty() && redis.password.expose_secret().is_empty() && !by_file {
        values.add_problem("redis.username", "set without redis.password: set both");
    }
    let url = match url(&redis.url) {
        Ok(url) => url,
        Err(why) => return values.add_problem("redis.url", why),
    };
    if redis.ca_file.is_empty() {
        return;
    }
    if url.is_some_and(|url| url.scheme() != "rediss") {
        values.add_problem("redis.ca_file", "redis.url does not use TLS: begin it with rediss://");
    }
    match fs::read_to_string(&redis.ca_file) {
        Ok(text) if text.contains(PEM) => {}
        Ok(_) => {
            values.add_problem("redis.ca_file", format!("{:?} contains no certificate (PEM)", redis.ca_file))
        }
        Err(error) => {
            values.add_problem("redis.ca_file", format!("cannot read {:?}: {error}", redis.ca_file));
        }
    }
}

/// Returns the URL, if one is set. The error does not repeat it: it could contain a password.
fn url(text: &str) -> Result<Option<Url>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if !text.contains("://") {
        return Err("has no scheme: begin it with redis://, or rediss:// for TLS".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    let database = url.path().trim_start_matches('/');
    let why = if !matches!(url.scheme(), "redis" | "rediss") {
        "has an unknown scheme: begin it with redis://, or rediss:// for TLS"
    } else if !url.username().is_empty() || url.password().is_some() {
        "contains a user name or password: use redis.username and redis.password"
    } else if url.query().is_some() || url.fragment().is_some() {
        "contains a query or a fragment: use the other settings of [redis]"
    } else if url.host_str().is_none_or(|host| matches!(host, "" | "0.0.0.0" | "[::]")) {
        "names no host to connect to"
    } else if !database.is_empty() && database.parse::<u32>().is_err() {
        "has a path that is not the number of a database, as in redis://host:6379/1"
    } else {
        return Ok(Some(url));
    };
    Err(why.to_owned())
}

/// Returns a warning if the connection to another machine is unencrypted. It is not refused, because that network may
/// be private.
pub(super) fn warning(config: &Config) -> Option<String> {
    let url = Url::parse(&config.redis.url).ok()?;
    // The `url` crate does not parse IP addresses in URLs of schemes that browsers do not know.
    let host = url.host_str()?.trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_unencrypted = url.scheme() == "redis" && !is_here;
    is_unencrypted.then(|| {
        "redis.url is without TLS and not on this machine: the password can be read, and shared state changed, on the network; \
         use rediss:// unless that network is private"
            .to_owned()
    })
}

#[cfg(test)]
mod tests;
