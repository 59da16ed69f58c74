//! Apollo's protocol for subscriptions over HTTP: `multipart/mixed` with `subscriptionSpec=1.0`. Each response is a
//! part with a `payload`. An empty part is a heartbeat. `payload: null` with errors reports that the stream failed.
//!
//! Apollo Client processes a part when it receives the boundary after it. Each part therefore ends with the boundary
//! instead of starting with it; otherwise each event would be delayed until the next one.

use bytes::Bytes;

use super::stream_format::StreamFormat;

/// `multipart/mixed`
pub(crate) struct Parts;

impl StreamFormat for Parts {
    const MEDIA: &'static str = "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0";

    fn opening(_: Option<&str>) -> Bytes {
        Bytes::from_static(b"\r\n--graphql")
    }

    fn next(response: &[u8], _: Option<&str>) -> Bytes {
        part(&[b"{\"payload\":", response, b"}"])
    }

    fn failed(response: &[u8]) -> Bytes {
        // Every response starts with a brace.
        part(&[b"{\"payload\":null,", response.get(1..).unwrap_or_default()])
    }

    fn heartbeat() -> Bytes {
        part(&[b"{}"])
    }

    fn end() -> Bytes {
        Bytes::from_static(b"--\r\n")
    }
}

fn part(json: &[&[u8]]) -> Bytes {
    let mut part = b"\r\ncontent-type: application/json\r\n\r\n".to_vec();
    part.extend(json.concat());
    part.extend(b"\r\n--graphql");
    part.into()
}
