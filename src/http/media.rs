//! Media types of requests and answers (GraphQL over HTTP, 4 "Serialization Format" and 6 "Response").
//!
//! Two media types are answered. They differ in more than name: under `application/json` a request that is well
//! formed is answered 200 whatever becomes of it, for clients of old; the other tells by status.

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};

/// A media type that answers are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaType {
    /// `application/graphql-response+json`
    GraphqlResponse,
    /// `application/json`: also for whoever names no type.
    Json,
}

impl MediaType {
    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        })
    }

    fn essence(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json",
            Self::Json => "application/json",
        }
    }

    /// The type that a client likes best, or none that it takes (RFC 9110, 12.5.1).
    ///
    /// Of equal weights the one that is named wins over the one that a wildcard covers; of two that are
    /// named, the newer; of two that a wildcard covers, the older, which every client knows.
    pub(crate) fn negotiated(headers: &HeaderMap) -> Option<Self> {
        let mut ranges = Vec::new();
        for line in headers.get_all(ACCEPT) {
            ranges.extend(line.to_str().ok()?.split(',').map(str::trim).filter(|range| !range.is_empty()));
        }
        if ranges.is_empty() {
            return Some(Self::Json);
        }
        let liking = |media: Self| {
            let matches = ranges.iter().filter_map(|range| Liking::of(range, media.essence()));
            matches.max_by_key(|liking| liking.exactness).filter(|liking| liking.weight > 0)
        };
        match (liking(Self::GraphqlResponse), liking(Self::Json)) {
            (None, None) => None,
            (Some(_), None) => Some(Self::GraphqlResponse),
            (None, Some(_)) => Some(Self::Json),
            (Some(newer), Some(older)) => {
                let newer_wins = if newer.weight == older.weight {
                    newer.exactness == EXACT
                } else {
                    newer.weight > older.weight
                };
                Some(if newer_wins { Self::GraphqlResponse } else { Self::Json })
            }
        }
    }
}

const EXACT: u8 = 2;

/// How a media range speaks of a media type.
struct Liking {
    /// 0 for `*/*`, 1 for `application/*`, 2 for the type itself: the most exact range decides.
    exactness: u8,
    /// The `q` in thousandths.
    weight: u16,
}

impl Liking {
    fn of(range: &str, essence: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let exactness = match parts.next()? {
            "*/*" => 0,
            kind if kind.eq_ignore_ascii_case("application/*") => 1,
            kind if kind.eq_ignore_ascii_case(essence) => EXACT,
            _ => return None,
        };
        let mut weight = 1000;
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            if name.eq_ignore_ascii_case("q") {
                weight = thousandths(value)?;
            } else if name.eq_ignore_ascii_case("charset") && !is_utf8(value) {
                return None;
            }
        }
        Some(Self { exactness, weight })
    }
}

/// A `qvalue` (RFC 9110, 12.4.2): 0 to 1 with at most three decimals.
fn thousandths(value: &str) -> Option<u16> {
    let weight: f32 = value.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000, as just checked")]
    Some((weight * 1000.0).round() as u16)
}

fn is_utf8(charset: &str) -> bool {
    let charset = charset.trim_matches('"');
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

/// Whether a body is declared to be JSON in UTF-8.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONTENT_TYPE).into_iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let Ok(line) = line.to_str() else { return false };
    let mut parts = line.split(';').map(str::trim);
    parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
        && parts
            .filter_map(|parameter| parameter.split_once('='))
            .all(|(name, value)| !name.eq_ignore_ascii_case("charset") || is_utf8(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: &str) -> Option<MediaType> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        MediaType::negotiated(&headers)
    }

    #[test]
    fn the_media_type_is_the_one_that_the_client_likes_best() {
        use MediaType::{GraphqlResponse, Json};
        for (accept, expected) in [
            ("", Some(Json)),
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(Json)),
            ("application/json", Some(Json)),
            ("Application/JSON; charset=UTF-8", Some(Json)),
            ("application/graphql-response+json", Some(GraphqlResponse)),
            (
                "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
                Some(GraphqlResponse),
            ),
            ("application/json, application/graphql-response+json", Some(GraphqlResponse)),
            ("application/graphql-response+json,application/json;q=0.9", Some(GraphqlResponse)),
            ("application/graphql-response+json;q=0.5, */*", Some(Json)),
            ("application/graphql-response+json, */*", Some(GraphqlResponse)),
            ("application/json;q=0, */*", Some(GraphqlResponse)),
            ("application/json;q=0", None),
            ("application/json;charset=iso-8859-1", None),
            ("application/json;q=two", None),
            ("text/event-stream", None),
            ("*/*;q=0", None),
        ] {
            assert_eq!(negotiated(accept), expected, "{accept}");
        }
        assert_eq!(MediaType::negotiated(&HeaderMap::new()), Some(Json));
    }
}
