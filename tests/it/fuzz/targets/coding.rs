//! Content codings of responses: any `Content-Encoding` and any body.

use ::http::{HeaderValue, Response, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use switchboard::domain::clock::Clock;
use switchboard::domain::credential::Credential;
use switchboard::domain::upstream_name::UpstreamName;
use switchboard::upstream::error::UpstreamFailure;
use switchboard::upstream::providers::ProvidersClient;
use switchboard::upstream::quota::Purpose;
use switchboard::upstream::transport::{Network, Transport};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

use super::decoders::list_of;
use super::with_paused_clock;
use crate::world::{NOW, upstream};

/// The number of providers of a response with this coding and body, if it can be read.
pub(crate) fn providers_of(coding: &HeaderValue, body: &[u8]) -> Option<usize> {
    let (coding, body) = (coding.clone(), Bytes::copy_from_slice(body));
    with_paused_clock(async {
        let network: Network = BoxCloneSyncService::new(service_fn(move |_: ::http::Request<Bytes>| {
            let body = Full::new(body.clone()).map_err(BoxError::from).boxed_unsync();
            let mut response = Response::new(body);
            response.headers_mut().insert(header::CONTENT_ENCODING, coding.clone());
            async move { Ok(response) }
        }));
        let clock = Clock::starting_at(NOW.parse::<Timestamp>().unwrap());
        let client =
            ProvidersClient::new(Transport::new(UpstreamName::Leadlex, upstream("/"), network, clock));
        match client.fetch_list(&Credential::new("wbk_fuzz").unwrap(), Purpose::Needed).await {
            Ok(list) => Some(list.rows.len()),
            Err(error) => {
                assert_eq!(error.failure, UpstreamFailure::BadResponse, "{error:?}");
                None
            }
        }
    })
}

/// A line with the coding, then the body.
pub(crate) fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

pub(super) fn coding(bytes: &[u8]) {
    let (coding, body) = split(bytes);
    let Ok(coding) = HeaderValue::from_bytes(coding) else { return };
    let read = providers_of(&coding, body);
    let is_plain = coding.to_str().is_ok_and(|text| {
        text.split(',')
            .map(str::trim)
            .all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
    });
    if is_plain {
        assert_eq!(read, list_of(body).map(|list| list.rows.len()));
    }
}
