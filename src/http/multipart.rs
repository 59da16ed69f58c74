//! Apollo's protocol of subscriptions over HTTP, `multipart/mixed` with `subscriptionSpec=1.0`: a part for each answer, in a
//! `payload` of its own, an empty one as a heartbeat, and `payload: null` with errors where the stream itself fails.
//!
//! Apollo Client takes a part when it sees the boundary behind it. So each part ends with that boundary, and does not begin
//! with it: else every event would come as late as the next one.

use bytes::Bytes;

use super::stream_format::StreamFormat;

/// `multipart/mixed`
pub(crate) struct Parts;

impl StreamFormat for Parts {
    const MEDIA: &'static str = "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0";

    fn opening(_: Option<&str>) -> Bytes {
        Bytes::from_static(b"\r\n--graphql")
    }

    fn next(answer: &[u8], _: Option<&str>) -> Bytes {
        part(&[b"{\"payload\":", answer, b"}"])
    }

    fn failed(answer: &[u8]) -> Bytes {
        // It begins with a brace, as every answer.
        part(&[b"{\"payload\":null,", answer.get(1..).unwrap_or_default()])
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
