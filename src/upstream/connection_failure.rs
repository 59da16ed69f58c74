//! The cause of a failed connection, for `switchboard check`.
//!
//! HTTP client, TLS and resolver report the cause as a chain of errors. Some of these error types are not public, so
//! they are recognized by their messages. Tests notice if a library changes the message of a failed resolution, of a
//! server without TLS or of a rejected certificate.

use std::error::Error;
use std::io::{self, ErrorKind};

/// Reason why no HTTP response arrived. Its `Display` says what to do, and contains nothing of the URL or the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionFailure {
    /// The host name has no address.
    #[error("DNS has no address for the host name: check the spelling, and this machine's DNS")]
    UnknownHost,
    /// Nothing listens at the port.
    #[error("the connection was refused: nothing listens at that host and port")]
    Refused,
    /// Packets do not arrive.
    #[error("the host cannot be reached: it is down, or a firewall or a missing route is in between")]
    NoRoute,
    /// The proxy set in the environment failed.
    #[error(
        "the proxy set in the environment (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) failed: correct the variable, or list the \
         host in NO_PROXY"
    )]
    Proxy,
    /// `https` to a port without TLS.
    #[error("the server does not use TLS at that port: use http:// or another port")]
    ServerWithoutTls,
    /// The server's certificate is not accepted.
    #[error("the server's TLS certificate is not accepted: it {0}")]
    Certificate(&'static str),
    /// Another failure of the handshake.
    #[error("the TLS handshake failed: check that the server supports TLS 1.2 or 1.3 at that port")]
    Tls,
    /// The response is not HTTP, for example because plain HTTP was sent to a TLS server.
    #[error("the response is not HTTP: if the server uses TLS, use https://")]
    NotHttp,
    /// The connection was closed before a response.
    #[error("the server closed the connection without a response: if it uses TLS, use https://")]
    Closed,
}

/// Reasons for which rustls rejects a certificate. Its message contains the name of the reason, or a sentence if it has
/// details.
const CERTIFICATE: [(&[&str], &str); 4] = [
    (&["UnknownIssuer"], "is signed by an authority that this machine does not know"),
    (&["NotValidForName", "certificate not valid for name"], "is for another host name"),
    (&["Expired", "certificate expired"], "has expired"),
    (&["NotValidYet", "certificate not valid yet"], "is not valid yet: check this machine's clock"),
];

impl ConnectionFailure {
    /// Returns the cause in a chain of errors; `None` if it is unknown.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let chain = || std::iter::successors(Some(error), source);
        let texts: Vec<String> = chain().map(ToString::to_string).collect();
        let has = |text: &str| texts.iter().any(|one| one.contains(text));
        if has("tunnel error") || has("proxy") {
            return Some(Self::Proxy);
        }
        if has("dns error") {
            return Some(Self::UnknownHost);
        }
        if has("invalid peer certificate") {
            let known = CERTIFICATE.iter().find(|(messages, _)| messages.iter().any(|message| has(message)));
            return Some(Self::Certificate(known.map_or("is not valid", |(_, why)| why)));
        }
        if has("corrupt message") {
            return Some(Self::ServerWithoutTls);
        }
        if has("peer is incompatible") || has("received fatal alert") || has("tls handshake eof") {
            return Some(Self::Tls);
        }
        chain().find_map(Self::of_one)
    }

    fn of_one(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return match error {
                error if error.is_parse() => Some(Self::NotHttp),
                error if error.is_incomplete_message() => Some(Self::Closed),
                _ => None,
            };
        }
        match error.downcast_ref::<io::Error>()?.kind() {
            ErrorKind::ConnectionRefused => Some(Self::Refused),
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::TimedOut => {
                Some(Self::NoRoute)
            }
            ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => {
                Some(Self::Closed)
            }
            _ => None,
        }
    }
}

fn source<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    (*error).source()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::Duration;

    use bytes::Bytes;
    use http::Request;
    use tokio_rustls::rustls::pki_types::{ServerName, UnixTime};
    use tokio_rustls::rustls::{CertificateError, Error as TlsError};
    use tower::ServiceExt as _;

    use super::*;
    use crate::upstream::transport;

    /// Returns the failure of a request to a server that reads something, then sends this answer and closes the
    /// connection.
    async fn failure(scheme: &str, answer: &'static [u8]) -> Option<ConnectionFailure> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let _ = connection.read(&mut [0; 1024]);
            connection.write_all(answer).unwrap();
        });
        let failure = of_url(&format!("{scheme}://{address}/")).await;
        server.join().unwrap();
        failure
    }

    async fn of_url(url: &str) -> Option<ConnectionFailure> {
        let network = transport::network(&url.parse().unwrap()).unwrap();
        let failed = network.oneshot(Request::get(url).body(Bytes::new()).unwrap()).await;
        ConnectionFailure::of(failed.err()?.as_ref())
    }

    #[tokio::test]
    async fn each_failed_connection_has_its_cause() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(of_url(&format!("http://{port}/")).await, Some(ConnectionFailure::Refused));
        assert_eq!(of_url("http://no-such-host.invalid/").await, Some(ConnectionFailure::UnknownHost));
        let bad_request = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(failure("https", bad_request).await, Some(ConnectionFailure::ServerWithoutTls));
        // The alert "unexpected message" of a TLS server.
        assert_eq!(failure("http", b"\x15\x03\x01\x00\x02\x02\x0a").await, Some(ConnectionFailure::NotHttp));
        assert_eq!(failure("http", b"").await, Some(ConnectionFailure::Closed));
        assert_eq!(failure("http", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await, None);
    }

    #[test]
    fn causes_are_also_found_in_error_texts() {
        let of = |text: &str| ConnectionFailure::of(&io::Error::other(text.to_owned()));
        assert_eq!(of("tunnel error: unsuccessful"), Some(ConnectionFailure::Proxy));
        assert_eq!(of("x-api-key: ak_canary"), None);
    }

    #[test]
    fn a_rejected_certificate_has_its_reason() {
        let (before, after) = (Duration::from_secs(1), Duration::from_secs(2));
        let (before, after) = (UnixTime::since_unix_epoch(before), UnixTime::since_unix_epoch(after));
        let expected = ServerName::try_from("a.example").unwrap();
        let presented = vec!["b.example".to_owned()];
        for (rejected, reason) in [
            (CertificateError::UnknownIssuer, "is signed by an authority that this machine does not know"),
            (CertificateError::NotValidForName, "is for another host name"),
            (CertificateError::NotValidForNameContext { expected, presented }, "is for another host name"),
            (CertificateError::Expired, "has expired"),
            (CertificateError::ExpiredContext { time: after, not_after: before }, "has expired"),
            (CertificateError::NotValidYet, "is not valid yet: check this machine's clock"),
            (
                CertificateError::NotValidYetContext { time: before, not_before: after },
                "is not valid yet: check this machine's clock",
            ),
            (CertificateError::BadSignature, "is not valid"),
        ] {
            let error = io::Error::new(ErrorKind::InvalidData, TlsError::InvalidCertificate(rejected));
            assert_eq!(
                ConnectionFailure::of(&error),
                Some(ConnectionFailure::Certificate(reason)),
                "{error}"
            );
        }
    }
}
