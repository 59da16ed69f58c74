//! CORS: the allow-list of origins whose pages may send requests from a browser; empty by default (Fetch standard). A second
//! list of the same form has the origins of images in a content security policy.
//!
//! Pages authenticate by headers that they set themselves, never by cookies. CORS credentials are therefore not
//! allowed, and a page can send only keys that it has. `*` is not supported, because then every page could send
//! requests.

use super::rate_limit::{RATE_LIMIT, RATE_LIMIT_POLICY};
use axum::http::header::{AGE, ETAG, HeaderName, ORIGIN, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use url::Url;

/// Cache time of preflight responses in browsers: the maximum of Chromium.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_hours(2);

/// Allowed origins, spelled as browsers send them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AllowedOrigins(Vec<HeaderValue>);

impl TryFrom<String> for AllowedOrigins {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(origin).collect::<Result<_, _>>().map(Self)
    }
}

fn origin(text: &str) -> Result<HeaderValue, String> {
    match text {
        "*" => {
            return Err(
                "`*` would allow every site. List each origin, or leave it empty to allow none".to_owned()
            );
        }
        "null" => {
            return Err(
                "`null` is the origin of all sandboxed and local pages and cannot be allowed".to_owned()
            );
        }
        _ => {}
    }
    let spelt = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(spelt) = spelt.map(|url| url.origin().ascii_serialization()) else {
        return Err(format!(
            "`{text}` is not an origin. Give scheme, host and port, for example https://app.example.com"
        ));
    };
    if spelt != text {
        return Err(format!("`{text}` is not spelled as browsers send it. Use `{spelt}`"));
    }
    // A host can contain a semicolon, which would end a directive of a content security policy.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/.-_[]".contains(&byte));
    if !is_plain {
        return Err(format!("`{text}` has characters that no host name has. Remove them"));
    }
    HeaderValue::from_str(text).map_err(|_| format!("`{text}` is not an origin"))
}

impl AllowedOrigins {
    /// Whether a request comes from a page of an allowed origin.
    pub(crate) fn allows(&self, headers: &HeaderMap) -> bool {
        if self.0.is_empty() {
            return false;
        }
        // With several `Origin` headers, a proxy may have checked a different one.
        let mut origins = headers.get_all(ORIGIN).into_iter();
        matches!((origins.next(), origins.next()), (Some(origin), None) if self.0.contains(origin))
    }

    /// Returns a content security policy whose last directive is a list of sources, with these origins added to it.
    pub(super) fn appended_to(&self, policy: &'static str) -> HeaderValue {
        let origins = self.0.iter().map(|origin| origin.as_bytes());
        let sources: Vec<_> = std::iter::once(policy.as_bytes()).chain(origins).collect();
        HeaderValue::from_bytes(&sources.join(&b' ')).unwrap_or(HeaderValue::from_static(policy))
    }

    /// Returns the layer that answers preflights and marks responses; `None` if no origin is allowed.
    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        if self.0.is_empty() {
            return None;
        }
        let request_id = HeaderName::from_static("x-request-id");
        let exposed = [request_id, RETRY_AFTER, AGE, ETAG, RATE_LIMIT, RATE_LIMIT_POLICY];
        Some(
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(self.0.clone()))
                .allow_methods([Method::GET, Method::POST])
                .allow_headers(AllowHeaders::mirror_request())
                .expose_headers(exposed)
                .max_age(PREFLIGHT_MAX_AGE),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AllowedOrigins, String> {
        AllowedOrigins::try_from(text.to_owned())
    }

    #[test]
    fn origins_are_accepted_in_the_form_that_browsers_send() {
        assert_eq!(read("").unwrap(), AllowedOrigins::default());
        let two = read(" https://app.example.com, http://localhost:3000,").unwrap();
        assert_eq!(two.0, ["https://app.example.com", "http://localhost:3000"]);
    }

    #[test]
    fn invalid_origins_are_refused_with_a_correction() {
        for (text, part) in [
            ("*", "every site"),
            ("*", "leave it empty"),
            ("null", "sandboxed"),
            ("app.example.com", "Give scheme, host and port"),
            ("https://app.example.com/", "Use `https://app.example.com`"),
            ("https://App.example.com:443", "Use `https://app.example.com`"),
            ("ftp://app.example.com", "not an origin"),
            ("https://app;script-src", "no host name has"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
    }
}
