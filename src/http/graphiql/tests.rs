use std::io::Read as _;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::super::bundle::PAGE;
use super::*;

struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl TestResponse {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

async fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> TestResponse {
    let request =
        headers.iter().fold(Request::builder().method(method).uri(path), |request, (name, value)| {
            request.header(*name, *value)
        });
    let response = routes().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    TestResponse {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

async fn get(path: &str, headers: &[(&str, &str)]) -> TestResponse {
    ask("GET", path, headers).await
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

/// Returns the names of the served files, without the page.
fn served() -> Vec<String> {
    let names = Bundle::iter().map(|name| name.strip_suffix(".gz").unwrap().to_owned());
    names.filter(|name| name != PAGE).collect()
}

fn script() -> String {
    let name = served().into_iter().find(|name| name.starts_with("index-") && name.ends_with(".js"));
    format!("/graphiql/{}", name.unwrap())
}

#[tokio::test]
async fn a_browser_gets_the_page_with_its_title() {
    let answer = get("/", &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("vary"), "Accept, Accept-Encoding");
    assert!(answer.text().contains("<title>Switchboard</title>"));
}

#[tokio::test]
async fn clients_that_do_not_accept_html_get_the_path_of_graphql() {
    for accept in ["application/json", "text/html;q=0, */*", "text/html;q=0.0"] {
        let answer = get("/", &[("accept", accept)]).await;
        assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE, "{accept}");
        assert!(answer.text().contains("GraphQL is served at /graphql"));
        assert_eq!(answer.header("vary"), "Accept");
    }
    for accept in ["*/*", "text/*", "application/json, TEXT/HTML;level=1;q=0.1"] {
        assert_eq!(get("/", &[("accept", accept)]).await.status, StatusCode::OK, "{accept}");
    }
    assert_eq!(get("/", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_link_of_the_page_is_served_and_local() {
    let page = get("/", &[]).await;
    let links: Vec<&str> = page.text().split(['"', '\'']).filter(|text| text.contains("graphiql/")).collect();
    assert!(links.len() >= 3, "a script, a style and an icon: {links:?}");
    for link in links {
        assert!(link.starts_with("graphiql/"), "{link} is not relative to the page");
        assert_eq!(get(&format!("/{link}"), &[]).await.status, StatusCode::OK, "{link}");
    }
    assert!(!page.text().contains("://"));
    let mut scripts = page.text().split("<script").skip(1);
    assert!(scripts.all(|tag| tag.contains("src=")), "an inline script, which the policy would refuse");
}

#[tokio::test]
async fn gzip_clients_get_the_embedded_bytes_and_others_plain_bytes() {
    let packed = get(&script(), &[("accept-encoding", "br, gzip;q=0.5")]).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    for accept in ["", "br", "gzip;q=0", "gzip;q=0, *"] {
        let plain = get(&script(), &[("accept-encoding", accept)]).await;
        assert_eq!(plain.header("content-encoding"), "", "{accept:?}");
        assert_eq!(plain.body, unpacked(&packed.body));
        assert_eq!(plain.header("vary"), "Accept-Encoding");
        assert_ne!(plain.header("etag"), packed.header("etag"), "one strong tag for two representations");
    }
    assert_eq!(get(&script(), &[("accept-encoding", "*")]).await.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn a_file_that_the_client_has_cached_is_not_sent_again() {
    for path in ["/", &script()] {
        let first = get(path, &[("accept-encoding", "gzip")]).await;
        let tag = first.header("etag");
        for known in [tag.to_owned(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let again = get(path, &[("accept-encoding", "gzip"), ("if-none-match", &known)]).await;
            assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path} {known}");
            assert_eq!(again.body, b"");
            assert_eq!(again.header("etag"), tag);
            assert_eq!(again.header("cache-control"), first.header("cache-control"));
        }
        let plain = get(path, &[("if-none-match", tag)]).await;
        assert_eq!(
            plain.status,
            StatusCode::OK,
            "{path}: the tag of the packed bytes is not that of the plain ones"
        );
    }
}

#[tokio::test]
async fn files_with_a_content_hash_are_cached_forever() {
    for name in served() {
        let answer = get(&format!("/graphiql/{name}"), &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        let expected = if name == "licenses.md" { "no-cache" } else { "public, max-age=31536000, immutable" };
        assert_eq!(answer.header("cache-control"), expected, "{name}");
        assert_ne!(answer.header("content-type"), "application/octet-stream", "{name}");
    }
}

#[tokio::test]
async fn workers_of_monaco_are_separate_files() {
    let mut workers: Vec<String> =
        served().iter().filter_map(|name| Some(name.split_once(".worker-")?.0.to_owned())).collect();
    workers.sort();
    assert_eq!(workers, ["editor", "graphql", "json"]);
}

#[tokio::test]
async fn unknown_files_are_not_found() {
    for path in
        ["/graphiql/other.js", "/graphiql/index.html", "/graphiql/index.html.gz", "/graphiql/..%2FCargo.toml"]
    {
        let answer = get(path, &[]).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::NOT_FOUND, "No such file.\n"), "{path}");
    }
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let answers = [
        get("/", &[]).await,
        get("/", &[("accept", "application/json")]).await,
        get(&script(), &[]).await,
        get(&script(), &[("if-none-match", "*")]).await,
        get("/graphiql/other.js", &[]).await,
        ask("POST", "/", &[]).await,
    ];
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 406, 200, 304, 404, 405]);
    for answer in &answers {
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; \
             img-src 'self' data:; worker-src 'self'; connect-src 'self'; frame-ancestors 'none'; \
             base-uri 'none'; form-action 'none'"
        );
    }
}

#[tokio::test]
async fn head_equals_get_without_the_body() {
    let head = ask("HEAD", &script(), &[("accept-encoding", "gzip")]).await;
    let get = get(&script(), &[("accept-encoding", "gzip")]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("etag"), get.header("etag"));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
}
