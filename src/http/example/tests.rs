use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

async fn get(path: &str) -> TestResponse {
    get_with("", path).await
}

async fn get_with(image_origins: &str, path: &str) -> TestResponse {
    let origins = AllowedOrigins::try_from(image_origins.to_owned()).unwrap();
    let response = routes(&origins).oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    TestResponse {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

#[tokio::test]
async fn every_link_of_the_page_is_served_and_local() {
    let page = get("/example").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("<title>Integrations</title>"));
    let links: Vec<&str> = page.text.split('"').filter(|text| text.contains("example/")).collect();
    assert!(links.len() >= 3, "a script, a style and an icon: {links:?}");
    for link in links {
        assert!(link.starts_with("example/"), "{link} is not relative to the page");
        assert_eq!(get(&format!("/{link}")).await.status, StatusCode::OK, "{link}");
    }
    assert!(!page.text.contains("://"));
    let mut scripts = page.text.split("<script").skip(1);
    assert!(scripts.all(|tag| tag.contains("src=")), "an inline script, which the policy would refuse");
}

#[tokio::test]
async fn every_file_has_a_type_and_the_security_headers() {
    let names = Bundle::iter().map(|name| name.strip_suffix(".gz").unwrap().to_owned());
    for path in names.filter(|name| name != bundle::PAGE).map(|name| format!("/example/{name}")) {
        let answer = get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_ne!(answer.headers["content-type"], "application/octet-stream", "{path}");
    }
    for path in ["/example", "/example/", "/example/licenses.md", "/example/other.js", "/example/index.html"]
    {
        let headers = get(path).await.headers;
        assert_eq!(headers["content-security-policy"], POLICY, "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
    }
    assert!(!POLICY.contains("unsafe"), "{POLICY}");
}

#[tokio::test]
async fn images_of_the_configured_origins_are_allowed() {
    let origins = "https://logos.composio.dev, https://img.example:8443";
    for path in ["/example", "/example/licenses.md"] {
        let policy = &get_with(origins, path).await.headers["content-security-policy"];
        assert_eq!(
            policy.to_str().unwrap(),
            format!("{POLICY} https://logos.composio.dev https://img.example:8443"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_trailing_slash_redirects_to_the_page() {
    let answer = get("/example/").await;
    assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(answer.headers["location"], "../example");
}
