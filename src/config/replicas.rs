//! What the settings of what replicas share must be. They are judged whether or not there is a URL, but for what is missing.

use std::fs;
use std::net::IpAddr;

use secrecy::ExposeSecret as _;
use url::Url;

use super::Config;
use super::layers::Layers;

const PEM: &str = "-----BEGIN CERTIFICATE-----";

pub(super) fn judge(config: &Config, layers: &mut Layers<'_>) {
    let redis = &config.redis;
    let fits = (1..=64).contains(&redis.key_prefix.len())
        && redis.key_prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte));
    if !fits {
        layers.refuse("redis.key_prefix", "takes 1 to 64 letters, digits, `:`, `_` and `-`");
    }
    // A nameless user with a password is the default one; a name without a password is not even sent.
    let by_file = layers.concern("redis.password") || layers.concern("redis.password_file");
    if !redis.username.is_empty() && redis.password.expose_secret().is_empty() && !by_file {
        layers.refuse("redis.username", "set without redis.password: give both");
    }
    let url = match url(&redis.url) {
        Ok(url) => url,
        Err(why) => return layers.refuse("redis.url", why),
    };
    if redis.ca_file.is_empty() {
        return;
    }
    if url.is_some_and(|url| url.scheme() != "rediss") {
        layers.refuse("redis.ca_file", "set beside a redis.url without TLS: begin that with rediss://");
    }
    match fs::read_to_string(&redis.ca_file) {
        Ok(text) if text.contains(PEM) => {}
        Ok(_) => layers.refuse("redis.ca_file", format!("{:?} holds no certificate (PEM)", redis.ca_file)),
        Err(error) => {
            layers.refuse("redis.ca_file", format!("cannot read {:?}: {error}", redis.ca_file));
        }
    }
}

/// The URL, where there is one; else why it will not do. It is not repeated: it could hold a password.
fn url(text: &str) -> Result<Option<Url>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if !text.contains("://") {
        return Err("has no scheme: begin it with redis://, or rediss:// for TLS".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    let database = url.path().trim_start_matches('/');
    let why = if !matches!(url.scheme(), "redis" | "rediss") {
        "its scheme is neither redis nor rediss"
    } else if !url.username().is_empty() || url.password().is_some() {
        "holds a user name or password: those have settings, redis.username and redis.password"
    } else if url.query().is_some() || url.fragment().is_some() {
        "holds a query or a fragment: what can be set has a setting"
    } else if url.host_str().is_none_or(|host| matches!(host, "" | "0.0.0.0" | "[::]")) {
        "names no host to connect to"
    } else if !database.is_empty() && database.parse::<u32>().is_err() {
        "ends with something else than the number of a database, as in redis://host:6379/1"
    } else {
        return Ok(Some(url));
    };
    Err(why.to_owned())
}

/// Where it goes in clear to another machine. Not refused: that network may be one's own.
pub(super) fn warning(config: &Config) -> Option<String> {
    let url = Url::parse(&config.redis.url).ok()?;
    // Of a scheme that browsers do not know, an address is as much a name as any other.
    let host = url.host_str()?.trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let in_clear = url.scheme() == "redis" && !is_here;
    in_clear.then(|| {
        "redis.url is without TLS and not on this machine: whoever is on the way can read the password and change what replicas \
         share; give rediss:// unless that network is yours alone"
            .to_owned()
    })
}

#[cfg(test)]
mod tests;
