//! Trusted documents: they come with the deployment and are read once at the start.
//!
//! [`TrustedDocuments::read`] accepts three forms. Every document can also be named by its hash.
//!
//! - A directory of `.graphql` files. Each is one document, whose id is the file's name without its extension.
//! - The file that `relay-compiler` writes (`persistConfig.file`: `{"id": "text"}`).
//! - Apollo's manifest (`apollo-persisted-query-manifest`, version 1).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

const APOLLO_FORMAT: &str = "apollo-persisted-query-manifest";

/// A document's SHA-256.
pub(super) type Hash = [u8; 32];

/// The documents, by id and by hash.
#[derive(Debug, Clone, Default)]
pub struct TrustedDocuments {
    by_id: HashMap<String, Arc<str>>,
    by_hash: HashMap<Hash, Arc<str>>,
}

/// Reason why trusted documents cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TrustedDocumentsError {
    /// The file or directory, or a file in it, cannot be read.
    #[error("cannot read {0:?}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// The manifest has an unknown format.
    #[error(
        "{0:?} is not a manifest: it must be relay-compiler's `{{\"id\": \"text\"}}` or Apollo's \
         apollo-persisted-query-manifest of version 1 (line {1}, column {2})"
    )]
    Manifest(PathBuf, usize, usize),
    /// There is no document.
    #[error("{0:?} has no document: a directory needs files that end in .graphql")]
    Empty(PathBuf),
}

/// One of the two manifest formats. Apollo's is tried first, because its members could also be documents in Relay's
/// format.
#[derive(Deserialize)]
#[serde(untagged)]
enum Manifest {
    Apollo { format: String, version: u32, operations: Vec<ApolloOperation> },
    Relay(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct ApolloOperation {
    id: String,
    body: String,
}

impl TrustedDocuments {
    /// Reads a directory or a manifest.
    ///
    /// # Errors
    /// If it cannot be read, has neither form, or contains no document.
    pub fn read(path: &Path) -> Result<Self, TrustedDocumentsError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| TrustedDocumentsError::Io(path, error)
        };
        let mut trusted = Self::default();
        if fs::metadata(path).map_err(failed(path))?.is_dir() {
            for entry in fs::read_dir(path).map_err(failed(path))? {
                let file = entry.map_err(failed(path))?.path();
                if file.extension().is_some_and(|ending| ending == "graphql")
                    && let Some(id) = file.file_stem().and_then(|id| id.to_str())
                {
                    trusted.add(id.to_owned(), &fs::read_to_string(&file).map_err(failed(&file))?);
                }
            }
        } else {
            let text = fs::read_to_string(path).map_err(failed(path))?;
            trusted.add_manifest(path, &text)?;
        }
        if trusted.by_id.is_empty() {
            Err(TrustedDocumentsError::Empty(path.to_owned()))
        } else {
            Ok(trusted)
        }
    }

    fn add_manifest(&mut self, path: &Path, text: &str) -> Result<(), TrustedDocumentsError> {
        let wrong = |error: &serde_json::Error| {
            TrustedDocumentsError::Manifest(path.to_owned(), error.line(), error.column())
        };
        // Errors of an untagged enum have no position, so a syntax error in the JSON is reported first.
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| wrong(&error))?;
        match serde_json::from_value(value).map_err(|error| wrong(&error))? {
            Manifest::Apollo { format, version: 1, operations } if format == APOLLO_FORMAT => {
                operations.into_iter().for_each(|one| self.add(one.id, &one.body));
                Ok(())
            }
            Manifest::Apollo { .. } => Err(TrustedDocumentsError::Manifest(path.to_owned(), 1, 1)),
            Manifest::Relay(documents) => {
                documents.into_iter().for_each(|(id, text)| self.add(id, &text));
                Ok(())
            }
        }
    }

    fn add(&mut self, id: String, text: &str) {
        let text: Arc<str> = text.into();
        // Editors end a file with a line end that clients do not send, so both texts are accepted.
        for spelt in [&*text, text.trim_end()] {
            self.by_hash.insert(Sha256::digest(spelt.as_bytes()).into(), Arc::clone(&text));
        }
        self.by_id.insert(id, text);
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Arc<str>> {
        self.by_id.get(id).cloned()
    }

    pub(super) fn by_hash(&self, hash: &Hash) -> Option<Arc<str>> {
        self.by_hash.get(hash).cloned()
    }

    /// Returns all documents with their ids.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_id.iter().map(|(id, text)| (id.as_str(), &**text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Result<TrustedDocuments, String> {
        let mut trusted = TrustedDocuments::default();
        let read = trusted.add_manifest(Path::new("m.json"), text);
        read.map(|()| trusted).map_err(|error| error.to_string())
    }

    #[test]
    fn relay_and_apollo_manifests_are_distinguished() {
        let relay = manifest(r#"{"5d41402abc4b2a76b9719d911017c592":"query A { __typename }"}"#).unwrap();
        assert_eq!(
            relay.by_id("5d41402abc4b2a76b9719d911017c592").as_deref(),
            Some("query A { __typename }")
        );
        let apollo = manifest(
            r#"{"format":"apollo-persisted-query-manifest","version":1,
                "operations":[{"id":"x1","name":"A","type":"query","body":"query A { __typename }"}]}"#,
        );
        let apollo = apollo.unwrap();
        assert_eq!(apollo.by_id("x1").as_deref(), Some("query A { __typename }"));
        let hash: Hash = Sha256::digest(b"query A { __typename }").into();
        assert_eq!(apollo.by_hash(&hash), apollo.by_id("x1"));
        for wrong in [
            "{",
            "[]",
            r#"{"id":1}"#,
            r#"{"format":"apollo-persisted-query-manifest","version":2,"operations":[]}"#,
        ] {
            let refused = manifest(wrong).unwrap_err();
            assert!(refused.contains("\"m.json\" is not a manifest"), "{refused}");
        }
    }
}
