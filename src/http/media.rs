//! Content negotiation: media types of requests and responses (GraphQL over HTTP, sections 4 and 6).
//!
//! [`AcceptedTypes`] is the entry point for responses, [`is_json`] for requests. Two media types are for single
//! responses. With `application/json`, any well-formed request is answered 200, for older clients;
//! `application/graphql-response+json` uses status codes. Two more types are for streams. A client must name them,
//! because a wildcard does not mean that it can read a stream. If a client accepts all types equally (urql), a query
//! gets a single response and a subscription gets a stream.

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};

/// A media type of single responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MediaType {
    /// `application/graphql-response+json`
    GraphqlResponse,
    /// `application/json`: also for clients that name no type.
    Json,
}

impl MediaType {
    /// Returns the value of `Content-Type`.
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

    /// Returns the client's preferred type and its weight; `None` if it accepts neither (RFC 9110, 12.5.1).
    ///
    /// With equal weights, a type that is named wins over one that only matches a wildcard. If both are named, the
    /// newer type wins. If both match a wildcard, the older one wins, which every client knows.
    fn preferred(ranges: &[&str]) -> Option<(Self, u16)> {
        let match_of =
            |media: Self| RangeMatch::most_specific(ranges, |range| RangeMatch::of(range, media.essence()));
        match (match_of(Self::GraphqlResponse), match_of(Self::Json)) {
            (None, None) => None,
            (Some(newer), None) => Some((Self::GraphqlResponse, newer.weight)),
            (None, Some(older)) => Some((Self::Json, older.weight)),
            (Some(newer), Some(older)) => {
                let newer_wins = if newer.weight == older.weight {
                    newer.specificity == EXACT
                } else {
                    newer.weight > older.weight
                };
                Some(if newer_wins {
                    (Self::GraphqlResponse, newer.weight)
                } else {
                    (Self::Json, older.weight)
                })
            }
        }
    }
}

/// A format of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// `text/event-stream`
    Events,
    /// `multipart/mixed;subscriptionSpec=1.0`
    Parts,
}

/// The response types that a client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AcceptedTypes {
    once: Option<(MediaType, u16)>,
    streaming: Option<(StreamKind, u16)>,
}

impl AcceptedTypes {
    /// Reads the `Accept` headers; `None` if no supported type is accepted.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let json = Self { once: Some((MediaType::Json, 1000)), streaming: None };
        let mut lines = headers.get_all(ACCEPT).iter();
        // What most clients send, without the rules below.
        let (first, second) = (lines.next().map(HeaderValue::as_bytes), lines.next());
        if matches!((first, second), (None | Some(b"application/json" | b"*/*"), None)) {
            return Some(json);
        }
        let mut ranges = Vec::new();
        for line in headers.get_all(ACCEPT) {
            ranges.extend(line.to_str().ok()?.split(',').map(str::trim).filter(|range| !range.is_empty()));
        }
        if ranges.is_empty() {
            return Some(json);
        }
        let named =
            |range: &str, essence| RangeMatch::of(range, essence).filter(|it| it.specificity == EXACT);
        let events = RangeMatch::most_specific(&ranges, |range| named(range, "text/event-stream"));
        let parts = RangeMatch::most_specific(&ranges, |range| {
            named(range, "multipart/mixed").filter(|_| is_subscription_format(range))
        });
        let streaming = match (events, parts) {
            (Some(events), Some(parts)) if parts.weight > events.weight => {
                Some((StreamKind::Parts, parts.weight))
            }
            (Some(events), _) => Some((StreamKind::Events, events.weight)),
            (None, parts) => parts.map(|parts| (StreamKind::Parts, parts.weight)),
        };
        let accepted = Self { once: MediaType::preferred(&ranges), streaming };
        (accepted.once.is_some() || accepted.streaming.is_some()).then_some(accepted)
    }

    /// Returns the media type of a single response, including errors for clients that accept only streams.
    pub(crate) fn once(self) -> MediaType {
        self.once.map_or(MediaType::Json, |(media, _)| media)
    }

    /// Returns the stream format for a subscription; `None` if the client accepts no stream.
    pub(crate) fn streaming(self) -> Option<StreamKind> {
        self.streaming.map(|(streaming, _)| streaming)
    }

    /// Returns the stream format for a single response, if the client prefers a stream.
    pub(crate) fn prefers_stream(self) -> Option<StreamKind> {
        let once = self.once.map_or(0, |(_, weight)| weight);
        self.streaming.filter(|(_, weight)| *weight > once).map(|(streaming, _)| streaming)
    }
}

/// Whether a `multipart/mixed` range is for subscriptions (Apollo's protocol, 1.0), not for incremental delivery.
fn is_subscription_format(range: &str) -> bool {
    let mut parameters = range.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    parameters.any(|(name, value)| {
        name.trim().eq_ignore_ascii_case("subscriptionSpec") && value.trim().trim_matches('"') == "1.0"
    })
}

const EXACT: u8 = 2;

/// The match of a media range with a media type.
struct RangeMatch {
    /// 0 for `*/*`, 1 for `application/*`, 2 for the type itself. The most specific range decides.
    specificity: u8,
    /// The `q` value in thousandths.
    weight: u16,
}

impl RangeMatch {
    fn most_specific(ranges: &[&str], match_range: impl Fn(&str) -> Option<Self>) -> Option<Self> {
        let matches = ranges.iter().filter_map(|range| match_range(range));
        matches.max_by_key(|best| best.specificity).filter(|best| best.weight > 0)
    }

    fn of(range: &str, essence: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let specificity = match parts.next()? {
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
        Some(Self { specificity, weight })
    }
}

/// Parses a `qvalue` (RFC 9110, 12.4.2), 0 to 1 with at most three decimals, in thousandths.
fn thousandths(value: &str) -> Option<u16> {
    let weight: f32 = value.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000, as just checked")]
    Some((weight * 1000.0).round() as u16)
}

fn is_utf8(charset: &str) -> bool {
    let charset = charset.trim_matches('"');
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

/// Whether the body is declared as JSON in UTF-8.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONTENT_TYPE).into_iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    if line == "application/json" {
        return true;
    }
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

    fn accepted(accept: &str) -> Option<AcceptedTypes> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        AcceptedTypes::of(&headers)
    }

    fn negotiated(accept: &str) -> Option<MediaType> {
        accepted(accept).and_then(|accepted| accepted.once).map(|(media, _)| media)
    }

    #[test]
    fn equal_q_values_fall_back_to_the_operation_kind() {
        use StreamKind::{Events, Parts};
        let apollo = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/graphql-response+json,\
                      application/json;q=0.9";
        let urql = "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, \
                    multipart/mixed";
        for (accept, subscription, query) in [
            ("text/event-stream", Some(Events), Some(Events)),
            ("text/event-stream, application/json;q=0.9", Some(Events), Some(Events)),
            ("text/event-stream;q=0.1, application/json", Some(Events), None),
            ("text/event-stream;q=0, application/json", None, None),
            ("text/event-stream, */*", Some(Events), None),
            ("*/*", None, None),
            ("text/*, application/json", None, None),
            ("multipart/mixed, application/json", None, None),
            (
                "multipart/mixed;boundary=\"graphql\";subscriptionSpec=\"1.0\", application/json",
                Some(Parts),
                None,
            ),
            ("multipart/mixed;subscriptionSpec=2.0, application/json", None, None),
            ("multipart/mixed;subscriptionSpec=1.0", Some(Parts), Some(Parts)),
            ("multipart/mixed;subscriptionSpec=1.0, text/event-stream", Some(Events), Some(Events)),
            ("multipart/mixed;subscriptionSpec=1.0, text/event-stream;q=0.9", Some(Parts), Some(Parts)),
            (apollo, Some(Parts), None),
            (urql, Some(Events), None),
        ] {
            let accepted = accepted(accept).unwrap();
            assert_eq!((accepted.streaming(), accepted.prefers_stream()), (subscription, query), "{accept}");
        }
    }

    #[test]
    fn the_clients_preferred_media_type_is_used() {
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
        assert_eq!(AcceptedTypes::of(&HeaderMap::new()).map(AcceptedTypes::once), Some(Json));
    }
}
