//! Propagation of trace context from clients and to upstreams (W3C Trace Context).

use std::collections::HashMap;

use http::{HeaderMap, HeaderValue, Request};
use opentelemetry::Context;
use opentelemetry::propagation::{Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Maximum length of a `tracestate`, in bytes. At least this much must be propagated (3.3.1.5); more would let clients
/// send long texts to the upstreams.
const STATE_MAX: usize = 512;

/// Extracts the client's span. An invalid `traceparent` is ignored, together with its `tracestate` (2.2.3, 3.3).
pub(super) fn extract(headers: &HeaderMap) -> Option<SpanContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let parent = parents.next()?.to_str().ok().filter(|parent| is_valid_traceparent(parent.as_bytes()))?;
    if parents.next().is_some() {
        return None;
    }
    let mut carrier = HashMap::from([(TRACEPARENT.to_owned(), parent.to_owned())]);
    // Several `tracestate` headers are parts of one list.
    let state: Result<Vec<_>, _> = headers.get_all(TRACESTATE).iter().map(HeaderValue::to_str).collect();
    let state = state.map(|lists| lists.join(",")).unwrap_or_default();
    if !state.is_empty() && state.len() <= STATE_MAX {
        carrier.insert(TRACESTATE.to_owned(), state);
    }
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
}

/// Whether a text is a valid `traceparent` (3.2); the library accepts invalid ones too. Versions after `00` may append
/// fields after a dash.
fn is_valid_traceparent(text: &[u8]) -> bool {
    let (fields, rest) = text.split_at_checked(55).unwrap_or((text, b""));
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_valid_at =
        |(at, &byte): (usize, &u8)| if matches!(at, 2 | 35 | 52) { byte == b'-' } else { is_hex(byte) };
    let has_valid_end = rest.is_empty() || (!fields.starts_with(b"00") && rest.starts_with(b"-"));
    fields.len() == 55 && has_valid_end && fields.iter().enumerate().all(is_valid_at)
}

/// Adds the trace context to an upstream request.
pub(super) fn inject(context: &Context, request: &mut Request<bytes::Bytes>) {
    TraceContextPropagator::new().inject_context(context, &mut HeaderInjector(request.headers_mut()));
}

struct HeaderInjector<'a>(&'a mut HeaderMap);

impl Injector for HeaderInjector<'_> {
    fn set(&mut self, name: &str, value: String) {
        let name = match name {
            TRACEPARENT => TRACEPARENT,
            TRACESTATE => TRACESTATE,
            _ => return,
        };
        // An empty list need not be sent (3.3.1.1).
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_traceparent_sets_the_trace_and_the_sampling() {
        for (flags, is_sampled) in [("01", true), ("00", false), ("03", true)] {
            let parent = format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
            let extracted =
                extract(&headers(&[("traceparent", &parent), ("tracestate", "a=1"), ("tracestate", "b=2")]));
            let extracted = extracted.unwrap();
            assert_eq!(
                (extracted.trace_id().to_string().as_str(), extracted.is_sampled()),
                (TRACE, is_sampled)
            );
            assert_eq!(extracted.trace_state().header(), "a=1,b=2");
        }
        let later = format!("01-{TRACE}-00f067aa0ba902b7-01-what-comes");
        assert!(extract(&headers(&[("traceparent", &later)])).is_some());
    }

    #[test]
    fn an_invalid_traceparent_is_ignored() {
        let zeros = "0".repeat(32);
        for wrong in [
            "",
            "00",
            &format!("00-{TRACE}-00f067aa0ba902b7"),
            &format!("00-{TRACE}-00f067aa0ba902b7-1"),
            &format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            &format!("00-{zeros}-00f067aa0ba902b7-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            &format!("+0-{TRACE}-00f067aa0ba902b7-01"),
            &format!("00-{TRACE}-00f067aa0ba902b7-+1"),
            &format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-00f067aa0ba902b7-01").replace('-', "_"),
        ] {
            assert!(extract(&headers(&[("traceparent", wrong), ("tracestate", "a=1")])).is_none(), "{wrong}");
        }
        let right = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert!(extract(&headers(&[("traceparent", &right), ("traceparent", &right)])).is_none());
    }

    #[test]
    fn an_invalid_or_too_long_tracestate_is_omitted() {
        let right = format!("00-{TRACE}-00f067aa0ba902b7-01");
        for wrong in ["no list", &format!("a={}", "b".repeat(511))] {
            let extracted = extract(&headers(&[("traceparent", &right), ("tracestate", wrong)])).unwrap();
            assert_eq!(extracted.trace_state().header(), "", "{wrong}");
        }
    }
}
