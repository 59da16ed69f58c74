//! [`RequestKind`]: what a request does, as far as the policies of calls depend on it.

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// Reads the objects that the upstream is called for.
    Read,
    /// Reads reference data, for which a key can lack the permission. Its outcome says nothing about the other reads.
    ReferenceRead,
    /// Changes something. It is not repeated once the upstream may have received it.
    Write,
}
