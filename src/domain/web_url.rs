//! URLs that a browser opens, and hosts of this machine.

use url::{Host, Url};

/// Whether a URL's host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a browser may be sent to a URL: https, or http on this machine, without a user name or password.
pub(crate) fn is_safe_for_browsers(url: &Url) -> bool {
    let is_encrypted = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
    is_encrypted && url.host().is_some() && url.username().is_empty() && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_sent_to_https_or_to_this_machine() {
        let is_safe = |text: &str| Url::parse(text).is_ok_and(|url| is_safe_for_browsers(&url));
        for text in
            ["https://a.example/x?y", "http://127.0.0.1:1/", "http://localhost", "http://[::1]:8080/x"]
        {
            assert!(is_safe(text), "{text}");
        }
        for text in [
            "http://a.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://user@a.example/",
            "https://user:password@a.example/",
            "http://localhost.a.example/",
            "/relative",
            "",
        ] {
            assert!(!is_safe(text), "{text}");
        }
    }
}
