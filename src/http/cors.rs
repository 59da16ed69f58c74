//! Whose pages may ask from a browser: an allow-list of origins, empty unless configured (Fetch standard, "CORS protocol").
//!
//! Callers are known by headers that a page must set itself, never by cookies, so credentials in CORS's sense are not let
//! through: a page on the list can send only the keys that it has. There is no `*`, which would let every page ask with them.

use axum::http::header::{AGE, ETAG, HeaderName, ORIGIN, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use std::time::Duration;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use url::Url;

/// How long a browser remembers what it may do: the most that Chromium takes.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_hours(2);

/// The origins whose pages may ask, as browsers spell them.
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
                "`*` would let every page ask: name each origin, or leave it empty to let none".to_owned()
            );
        }
        "null" => {
            return Err("`null` is the origin of sandboxed and local pages, whosever they are".to_owned());
        }
        _ => {}
    }
    let spelt = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(spelt) = spelt.map(|url| url.origin().ascii_serialization()) else {
        return Err(format!(
            "`{text}` is no origin: give scheme, host and port, as in https://app.example.com"
        ));
    };
    if spelt != text {
        return Err(format!("`{text}` is no origin as browsers send it: give `{spelt}`"));
    }
    HeaderValue::from_str(text).map_err(|_| format!("`{text}` is no origin"))
}

impl AllowedOrigins {
    /// Whether a request comes from a page of one of them.
    pub(crate) fn allows(&self, headers: &HeaderMap) -> bool {
        // Of several a proxy could have judged another one.
        let mut origins = headers.get_all(ORIGIN).into_iter();
        matches!((origins.next(), origins.next()), (Some(origin), None) if self.0.contains(origin))
    }

    /// What answers preflights and marks answers for these origins; none where there are none.
    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        if self.0.is_empty() {
            return None;
        }
        let exposed = [HeaderName::from_static("x-request-id"), RETRY_AFTER, AGE, ETAG];
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
    fn origins_are_taken_as_browsers_spell_them() {
        assert_eq!(read("").unwrap(), AllowedOrigins::default());
        let two = read(" https://app.example.com, http://localhost:3000,").unwrap();
        assert_eq!(two.0, ["https://app.example.com", "http://localhost:3000"]);
    }

    #[test]
    fn whatever_no_browser_sends_is_refused_with_what_one_would() {
        for (text, part) in [
            ("*", "every page"),
            ("*", "leave it empty"),
            ("null", "sandboxed"),
            ("app.example.com", "give scheme, host and port"),
            ("https://app.example.com/", "give `https://app.example.com`"),
            ("https://App.example.com:443", "give `https://app.example.com`"),
            ("ftp://app.example.com", "no origin"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
    }
}
