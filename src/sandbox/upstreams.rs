//! The two emulated upstreams, and the values planted in them.

use serde::{Deserialize, Serialize};

/// The path prefix of LeadLex's API on the sandbox; Composio's API is at its root.
pub const LEADLEX_PATH: &str = "/functions/v1/api-gateway";

/// The prefix of every value that must not reach clients; the name of its field follows.
pub const CANARY: &str = "CANARY-";

/// One of the two emulated upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmulatedUpstream {
    /// `GET /v1/settings/providers` under [`LEADLEX_PATH`].
    Leadlex,
    /// `/api/v3/connected_accounts`, read and written, `/api/v3/toolkits/multi`, and the same under `/api/v3.1`.
    Composio,
}
