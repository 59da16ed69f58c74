//! A token issuer for tests: keys of each type, the published key set, and signed tokens.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use switchboard::domain::clock::Clock;
use switchboard::http::caller::Authenticator;
use switchboard::http::caller::jwks::KeySource;
use switchboard::http::caller::jwt::Verifier;
use switchboard::http::caller::settings::JwtSettings;
use switchboard::http::caller::tokens::Tenants;
use switchboard::upstream::transport::Network;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

use super::static_tokens::{WHOAMI, tenants};
use super::{TestResponse, edge, post, send, with_header};
use crate::world::NOW;

/// A private key and its key id.
pub(crate) struct Key {
    pub(crate) id: &'static str,
    pub(crate) algorithm: Algorithm,
    pub(crate) private: EncodingKey,
}

impl Key {
    pub(crate) fn rsa(id: &'static str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8 = pair.as_der().unwrap();
        // The library expects the inner key (RFC 5208), which begins 26 bytes later for 2048 bits.
        let private = EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]);
        Self { id, algorithm: Algorithm::RS256, private }
    }

    pub(crate) fn ec(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self { id, algorithm: Algorithm::ES256, private }
    }

    pub(crate) fn ed(id: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let private = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self { id, algorithm: Algorithm::EdDSA, private }
    }

    pub(crate) fn public(&self) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(&self.private, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.to_owned());
        jwk
    }

    pub(crate) fn header(&self) -> Header {
        Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        encode(&self.header(), claims, &self.private).unwrap()
    }
}

pub(super) fn now() -> i64 {
    NOW.parse::<Timestamp>().unwrap().as_second()
}

/// Claims of an ADMIN of tenant `default`, valid for five minutes. `change` overrides them.
pub(super) fn claims(change: Value) -> Value {
    let mut claims = json!({
        "iss": "https://issuer.example/",
        "aud": ["graph", "another"],
        "sub": "user_1",
        "exp": now() + 300,
        "role": "ADMIN",
        "tenant": "default",
    });
    for (name, value) in change.as_object().unwrap() {
        match value {
            // A removed claim.
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// A token with any header and any signature, which no library would create.
pub(crate) fn forged_token(header: Value, claims: &Value, signature: &[u8]) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!(
        "{}.{}.{}",
        part(header.to_string().as_bytes()),
        part(claims.to_string().as_bytes()),
        part(signature)
    )
}

/// The published key set, how often it was read, and an edge that trusts it.
pub(super) struct Issuer {
    published: Arc<Mutex<Option<String>>>,
    reads: Arc<AtomicUsize>,
    callers: Authenticator,
}

pub(super) fn settings() -> JwtSettings {
    JwtSettings {
        jwks_url: "https://issuer.example/jwks".to_owned(),
        jwks_file: "".into(),
        jwks_ttl_ms: 600_000,
        jwks_pause_ms: 30_000,
        issuer: "https://issuer.example/".to_owned(),
        audience: "graph, other".to_owned(),
        algorithms: "RS256, ES256, EdDSA".to_owned().try_into().unwrap(),
        leeway_ms: 30_000,
        role_claim: "role".to_owned(),
        tenant_claim: "tenant".to_owned(),
        user_id_claim: "sub".to_owned(),
    }
}

impl Issuer {
    pub(super) fn new(keys: &[&Key]) -> Self {
        Self::with(settings(), keys)
    }

    /// The callers that an edge derives from these tokens.
    pub(super) fn callers(&self) -> Authenticator {
        self.callers.clone()
    }

    pub(super) fn with(settings: JwtSettings, keys: &[&Key]) -> Self {
        Self::with_tenants(settings, keys, tenants())
    }

    pub(super) fn with_tenants(settings: JwtSettings, keys: &[&Key], tenants: Tenants) -> Self {
        let (published, reads) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
        let source = KeySource::Url(network(&published, &reads), settings.jwks_url.parse().unwrap());
        let clock = Clock::starting_at(NOW.parse().unwrap());
        let verifier = Verifier::new(settings, source, tenants, clock);
        let issuer = Self { published, reads, callers: Authenticator::Jwt(Arc::new(verifier)) };
        issuer.publish(keys);
        issuer
    }

    pub(super) fn publish(&self, keys: &[&Key]) {
        let ids: BTreeSet<_> = keys.iter().map(|key| key.id).collect();
        assert_eq!(ids.len(), keys.len());
        let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
        self.publish_text(Some(&json!({ "keys": keys }).to_string()));
    }

    /// Publishes any text. `None` makes the issuer unreachable.
    pub(super) fn publish_text(&self, text: Option<&str>) {
        *self.published.lock().unwrap() = text.map(str::to_owned);
    }

    /// The number of reads of the key set since the last call.
    pub(super) fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::SeqCst)
    }

    pub(super) async fn send(&self, token: &str) -> TestResponse {
        let request = with_header(post(WHOAMI), "authorization", &format!("Bearer {token}"));
        send(edge(self.callers.clone()), request).await
    }
}

/// A network that reaches only the issuer.
fn network(published: &Arc<Mutex<Option<String>>>, reads: &Arc<AtomicUsize>) -> Network {
    let (published, reads) = (Arc::clone(published), Arc::clone(reads));
    BoxCloneSyncService::new(service_fn(move |request: http::Request<Bytes>| {
        assert_eq!(request.uri(), "https://issuer.example/jwks");
        assert!(
            request.headers().get("authorization").is_none(),
            "requests to the issuer carry no credentials"
        );
        reads.fetch_add(1, Ordering::SeqCst);
        let text = published.lock().unwrap().clone();
        async move {
            // Yields, so that concurrent callers find the read in flight.
            tokio::task::yield_now().await;
            let text = text.ok_or("the issuer is down")?;
            let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
            Ok::<_, BoxError>(http::Response::new(body))
        }
    }))
}
