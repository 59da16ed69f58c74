//! Documents that clients name instead of sending them: resolves the text of a request.
//!
//! There are two kinds. *Trusted* documents come with the deployment ([`trusted`]); in `enforce` mode, no other
//! document is executed. *Automatic* documents are registered by clients under their hash (Apollo's automatic persisted
//! queries, which urql supports too). They shorten requests but do not restrict them. Each tenant has its own, because
//! a shared pool would reveal to one tenant what another has registered. This step precedes validation, so that a
//! mutation by GET is refused however its document is named.
//!
//! A request names a document by `documentId` (GraphQL over HTTP, appendix "Persisted Documents": `sha256:…`, or the
//! id that the manifest of trusted documents gives it) or by `extensions.persistedQuery.sha256Hash`.
//!
//! Entry point: [`PersistedDocuments::resolve`].

pub mod trusted;

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use self::trusted::{Hash, TrustedDocuments};
use super::codes::Code;
use super::errors::GraphqlError;
use super::request::OperationRequest;
use super::settings::{DocumentMode, DocumentSettings};
use crate::domain::bounded_map::BoundedMap;
use crate::domain::caller::{Tenant, TenantFingerprints};
use crate::domain::hex::{hex, read_hex};

/// The prefix of a document id that is a hash.
const HASH_PREFIX: &str = "sha256:";

/// Overhead of an entry in bytes: three hashes, and the cache's own data.
const BYTES_PER_ENTRY: usize = 320;

/// Maximum number of untrusted documents that are remembered as logged. Beyond it, some are logged again.
const LOGGED_MAX: u64 = 10_000;

/// The text of a request's document, and how it was found.
#[derive(Debug)]
pub(crate) struct ResolvedDocument {
    pub(crate) text: Arc<str>,
    /// Key under which the document is stored after it has been validated.
    store_as: Option<RegisteredKey>,
}

/// Key of an automatic document: the credentials that it was registered with, and its hash. A tenant therefore cannot
/// find out which documents others use, and a hash cannot execute a document that only another tenant has sent.
type RegisteredKey = (TenantFingerprints, Hash);

fn registered_key(tenant: &Tenant, hash: Hash) -> RegisteredKey {
    (tenant.fingerprints(), hash)
}

/// All documents that requests can name.
pub(crate) struct PersistedDocuments {
    trusted: Option<(TrustedDocuments, DocumentMode)>,
    automatic: Option<BoundedMap<RegisteredKey, Arc<str>>>,
    logged_hashes: BoundedMap<Hash, ()>,
}

impl PersistedDocuments {
    /// Creates the store from its settings and the trusted documents, if there are any.
    pub(crate) fn new(settings: &DocumentSettings, trusted: Option<TrustedDocuments>) -> Self {
        let automatic = settings.automatic.then(|| {
            BoundedMap::with_limit_bytes(
                settings.automatic_limit_bytes,
                |_: &RegisteredKey, text: &Arc<str>| text.len().saturating_add(BYTES_PER_ENTRY),
            )
        });
        let trusted = trusted.map(|trusted| (trusted, settings.mode));
        Self { trusted, automatic, logged_hashes: BoundedMap::with_max_entries(LOGGED_MAX) }
    }

    /// Returns this store with the automatic documents of `previous`, for a reload. It takes over none if either does
    /// not allow registration. Their limit cannot change without a restart.
    pub(crate) fn with_registered_of(&self, previous: &Self) -> Self {
        let automatic = match (&self.automatic, &previous.automatic) {
            (Some(_), Some(registered)) => Some(registered.clone()),
            (own, _) => own.clone(),
        };
        Self { trusted: self.trusted.clone(), automatic, logged_hashes: self.logged_hashes.clone() }
    }

    /// Creates a store without documents: each request must contain its own.
    pub(crate) fn none() -> Self {
        Self { trusted: None, automatic: None, logged_hashes: BoundedMap::with_max_entries(0) }
    }

    /// Returns the trusted documents, if there are any.
    pub(crate) fn trusted(&self) -> Option<&TrustedDocuments> {
        self.trusted.as_ref().map(|(trusted, _)| trusted)
    }

    /// Returns the document text of a request.
    ///
    /// # Errors
    /// If the request names an unknown document, has a malformed name or a wrong hash, or sends a document that is not
    /// trusted.
    pub(crate) fn resolve(
        &self,
        request: &mut OperationRequest,
        tenant: &Tenant,
    ) -> Result<ResolvedDocument, Box<GraphqlError>> {
        let name = DocumentName::of(request)?;
        match (request.query.take(), name) {
            (Some(text), None) => self.resolve_text(text.into(), None, tenant),
            (Some(text), Some(DocumentName::Hash(hash))) => {
                self.resolve_text(text.into(), Some(hash), tenant)
            }
            (Some(_), Some(DocumentName::IdInHashField(id))) => refuse_malformed_hash(&id),
            (Some(_), Some(DocumentName::DocumentId(_))) => {
                let sentence = "The request has a `documentId` and a `query`: send one of the two.";
                refuse(Code::BadUserInput, sentence, "BAD_REQUEST")
            }
            (None, Some(name)) => {
                self.resolve_name(&name, tenant).map(|text| ResolvedDocument { text, store_as: None })
            }
            (None, None) => {
                let sentence = "`query` is missing: the text of a GraphQL document.";
                refuse(Code::BadUserInput, sentence, "BAD_REQUEST")
            }
        }
    }

    /// Stores a valid document under the hash that it was sent with. Invalid ones are not stored, because they would
    /// displace others.
    pub(crate) fn store(&self, document: &ResolvedDocument) {
        if let (Some(automatic), Some(key)) = (&self.automatic, document.store_as) {
            automatic.insert(key, Arc::clone(&document.text));
        }
    }

    fn resolve_name(&self, name: &DocumentName, tenant: &Tenant) -> Result<Arc<str>, Box<GraphqlError>> {
        let trusted_text = self.trusted().and_then(|documents| match name {
            DocumentName::Hash(hash) => documents.by_hash(hash),
            DocumentName::DocumentId(id) | DocumentName::IdInHashField(id) => documents.by_id(id),
        });
        if let (DocumentName::IdInHashField(id), None) = (name, &self.trusted) {
            return refuse_malformed_hash(id);
        }
        let document = trusted_text.or_else(|| match (name, &self.automatic) {
            (DocumentName::Hash(hash), Some(automatic)) if !self.is_enforced() => {
                automatic.get(&registered_key(tenant, *hash))
            }
            _ => None,
        });
        document.ok_or_else(|| {
            // Clients compare this exact message.
            Box::new(if self.trusted.is_none() && self.automatic.is_none() {
                GraphqlError::new(Code::PersistedQueryNotSupported, "PersistedQueryNotSupported")
            } else {
                GraphqlError::new(Code::PersistedQueryNotFound, "PersistedQueryNotFound")
            })
        })
    }

    fn resolve_text(
        &self,
        text: Arc<str>,
        claimed_hash: Option<Hash>,
        tenant: &Tenant,
    ) -> Result<ResolvedDocument, Box<GraphqlError>> {
        if claimed_hash.is_none() && self.trusted.is_none() {
            return Ok(ResolvedDocument { text, store_as: None });
        }
        let hash: Hash = Sha256::digest(text.as_bytes()).into();
        if claimed_hash.is_some_and(|claimed_hash| claimed_hash != hash) {
            let sentence = "The document's SHA-256 is not the one that the request names it by.";
            return refuse(Code::BadUserInput, sentence, "BAD_HASH");
        }
        if let Some((trusted, mode)) = &self.trusted
            && trusted.by_hash(&hash).is_none()
        {
            match mode {
                DocumentMode::Enforce => {
                    let sentence = "This document is not among those that are trusted here.";
                    return refuse(Code::Forbidden, sentence, "NOT_TRUSTED");
                }
                DocumentMode::Log => self.log(hash),
            }
        }
        let claimed_hash = claimed_hash.filter(|_| self.automatic.is_some());
        Ok(ResolvedDocument { text, store_as: claimed_hash.map(|hash| registered_key(tenant, hash)) })
    }

    fn is_enforced(&self) -> bool {
        matches!(self.trusted, Some((_, DocumentMode::Enforce)))
    }

    /// Logs that an untrusted document was run, once for each document. The log has its hash, because the text may
    /// contain data.
    fn log(&self, hash: Hash) {
        if self.logged_hashes.get(&hash).is_none() {
            self.logged_hashes.insert(hash, ());
            tracing::warn!(sha256 = hex(&hash), "a document that is not trusted was run");
        }
    }
}

/// The name of a document in a request.
enum DocumentName {
    Hash(Hash),
    /// An id in `documentId` that is not a hash.
    DocumentId(String),
    /// A text in `sha256Hash` that is not a hash. Apollo's clients send the ids of trusted documents there too. Without
    /// trusted documents, or together with a `query`, it is a malformed hash.
    IdInHashField(String),
}

/// Refuses a `sha256Hash` that is not a hash.
fn refuse_malformed_hash<T>(written: &str) -> Result<T, Box<GraphqlError>> {
    let problem = match written.chars().count() {
        64 => "has other characters than hexadecimal digits".to_owned(),
        length => format!("has {length} characters"),
    };
    let message = format!(
        "`extensions.persistedQuery.sha256Hash` {problem}: it must be the SHA-256 of the document's text, 64 hexadecimal digits."
    );
    refuse(Code::BadUserInput, &message, "BAD_REQUEST")
}

impl DocumentName {
    fn of(request: &mut OperationRequest) -> Result<Option<Self>, Box<GraphqlError>> {
        let refuse_malformed = |sentence| refuse(Code::BadUserInput, sentence, "BAD_REQUEST");
        if let Some(id) = request.document_id.take() {
            return match id.strip_prefix(HASH_PREFIX) {
                None => Ok(Some(Self::DocumentId(id))),
                Some(digits) => match read_hex(digits) {
                    Some(hash) => Ok(Some(Self::Hash(hash))),
                    None => refuse_malformed(
                        "`documentId` begins with `sha256:` and has no 64 hexadecimal digits after it.",
                    ),
                },
            };
        }
        let Some(named) = request.extensions.get("persistedQuery").filter(|named| !named.is_null()) else {
            return Ok(None);
        };
        let named = named.as_object();
        let is_version_1 = named.and_then(|it| it.get("version")).and_then(|it| it.as_i64()) == Some(1);
        let digits = named.and_then(|it| it.get("sha256Hash")).and_then(|it| it.as_str());
        match digits {
            Some(digits) if is_version_1 => match read_hex(digits) {
                Some(hash) => Ok(Some(Self::Hash(hash))),
                None => Ok(Some(Self::IdInHashField(digits.to_owned()))),
            },
            _ => refuse_malformed(
                "`extensions.persistedQuery` must be `{\"version\": 1, \"sha256Hash\": \"…\"}`.",
            ),
        }
    }
}

fn refuse<T>(code: Code, sentence: &str, reason: &'static str) -> Result<T, Box<GraphqlError>> {
    Err(Box::new(GraphqlError::new(code, sentence).with_reason(reason)))
}
