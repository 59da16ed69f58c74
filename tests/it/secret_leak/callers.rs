//! All authentication modes, each with its callers: admins, members, and callers that are refused.

use std::path::PathBuf;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::configured;
use switchboard::config::Config;
use switchboard::http::caller::tokens::NewToken;
use switchboard::sandbox::Tenant;

/// An authentication mode as configured, and its callers.
pub(super) struct Mode {
    pub(super) name: &'static str,
    pub(super) config: Config,
    pub(super) callers: Vec<TestCaller>,
}

/// A caller of the test.
pub(super) struct TestCaller {
    pub(super) name: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) tenant: Tenant,
    pub(super) is_admin: bool,
    pub(super) is_authenticated: bool,
}

impl TestCaller {
    fn of(name: &'static str, token: &str) -> Self {
        Self {
            name,
            headers: vec![("authorization", format!("Bearer {token}"))],
            tenant: Tenant::A,
            is_admin: true,
            is_authenticated: true,
        }
    }

    fn member(self) -> Self {
        Self { is_admin: false, ..self }
    }

    fn refused(self) -> Self {
        Self { is_admin: false, is_authenticated: false, ..self }
    }
}

/// The four modes, `none` first and `passthrough` last.
pub(super) fn modes() -> Vec<Mode> {
    let local = TestCaller { headers: Vec::new(), ..TestCaller::of("anybody", "") };
    let open = Mode { name: "none", config: configured(&text("none", "")).unwrap(), callers: vec![local] };
    vec![open, tokens(), jwt(), passthrough()]
}

/// The common part of all configurations: two tenants, a key of ids, and limits that refuse nothing.
fn text(mode: &str, more: &str) -> String {
    format!(
        "[auth]
mode = \"{mode}\"
{more}
[[tenants]]
name = \"b\"
leadlex_api_key = \"wbk_sandbox_b\"
composio_api_key = \"ak_sandbox_b\"
[upstream.leadlex]
base_url = \"http://sandbox.invalid/functions/v1/api-gateway\"
api_key = \"wbk_sandbox_a\"
[upstream.composio]
base_url = \"http://sandbox.invalid/\"
api_key = \"ak_sandbox_a\"
[ids]
key = \"CANARY-ids-key-0123456789\"
[cache]
limit_bytes = 4_000_000_000
[log]
level = \"trace\"
[limits]
depth = 32
complexity = 1_000_000_000
aliases = 10_000
directives = 10_000
tokens = 1_000_000
upstream_calls = 1_000_000
response_bytes = 1_073_741_824
complexity_at_once = 4_000_000_000
operation_timeout_ms = 600_000
"
    )
}

fn tokens() -> Mode {
    let [admin, member, other, stranger] = [0; 4].map(|_| NewToken::random().unwrap());
    let entry = |name: &str, token: &NewToken, more: &str| {
        format!("[[auth.tokens]]\nname = \"{name}\"\nsha256 = \"{}\"\n{more}\n", token.sha256)
    };
    let entries = [
        entry("admin", &admin, "role = \"admin\""),
        entry("ann", &member, "role = \"member\"\nuser_id = \"user_0\""),
        entry("other", &other, "role = \"admin\"\ntenant = \"b\""),
    ];
    let callers = vec![
        TestCaller::of("an admin", &admin.text),
        TestCaller::of("a member", &member.text).member(),
        TestCaller { tenant: Tenant::B, ..TestCaller::of("another tenant's admin", &other.text) },
        TestCaller::of("a stranger", &stranger.text).refused(),
    ];
    Mode { name: "tokens", config: configured(&text("tokens", &entries.concat())).unwrap(), callers }
}

/// The file of the issuer's keys while the test runs.
pub(super) fn issuers_keys() -> PathBuf {
    std::env::temp_dir().join(format!("switchboard-secret-leak-{}.jwks", std::process::id()))
}

fn jwt() -> Mode {
    let pair = Ed25519KeyPair::generate().unwrap();
    let public = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": public }] });
    let file = issuers_keys();
    std::fs::write(&file, keys.to_string()).unwrap();
    let issuer = format!(
        "[auth.jwt]\njwks_file = {file:?}\nissuer = \"https://issuer.example/\"\naudience = \"graph\"\n"
    );
    let config = configured(&text("jwt", &issuer)).unwrap();
    let claims = |change: Value| {
        let mut claims = json!({
            "iss": "https://issuer.example/", "aud": "graph", "sub": "user_0", "exp": 4_102_444_800_u64,
            "role": "ADMIN", "tenant": "default",
        });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        claims
    };
    let signed = |claims: Value| {
        let part = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let text = format!("{}.{}", part(json!({ "alg": "EdDSA", "kid": "k" })), part(claims));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes())))
    };
    let callers = vec![
        TestCaller::of("an admin", &signed(claims(json!({})))),
        TestCaller::of("a member", &signed(claims(json!({ "role": "MEMBER" })))).member(),
        TestCaller::of("a late one", &signed(claims(json!({ "exp": 1 })))).refused(),
        TestCaller::of("a forger", &format!("{}AAAA", signed(claims(json!({}))))).refused(),
    ];
    Mode { name: "jwt", config, callers }
}

fn passthrough() -> Mode {
    let own = |name, leadlex: Option<&str>, composio: Option<&str>| {
        let leadlex = leadlex.map(|key| ("authorization", format!("Bearer {key}")));
        let composio = composio.map(|key| ("x-api-key", key.to_owned()));
        let headers = leadlex.into_iter().chain(composio).collect();
        TestCaller { headers, tenant: Tenant::B, ..TestCaller::of(name, "") }
    };
    let callers = vec![
        own("both keys", Some("wbk_sandbox_b"), Some("ak_sandbox_b")),
        own("one key", None, Some("ak_sandbox_b")),
        own("wrong keys", Some("wbk_CANARY-caller"), Some("ak_CANARY-caller")).member(),
        own("no keys", None, None).refused(),
        own("a malformed key", Some("CANARY-caller"), None).refused(),
    ];
    Mode { name: "passthrough", config: configured(&text("passthrough", "")).unwrap(), callers }
}
