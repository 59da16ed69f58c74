//! The authentication schemes of connected accounts.

use super::open_enum::open_enum;

open_enum! {
    /// An authentication scheme (docs/upstreams.md#composio-account, 15 schemes).
    AuthScheme, unknown:
    /// A scheme that this version does not know.
    Other,
    Oauth2 = "OAUTH2",
    Oauth1 = "OAUTH1",
    ApiKey = "API_KEY",
    Basic = "BASIC",
    BillcomAuth = "BILLCOM_AUTH",
    BearerToken = "BEARER_TOKEN",
    GoogleServiceAccount = "GOOGLE_SERVICE_ACCOUNT",
    NoAuth = "NO_AUTH",
    BasicWithJwt = "BASIC_WITH_JWT",
    CalcomAuth = "CALCOM_AUTH",
    ServiceAccount = "SERVICE_ACCOUNT",
    Saml = "SAML",
    DcrOauth = "DCR_OAUTH",
    CimdOauth = "CIMD_OAUTH",
    S2sOauth2 = "S2S_OAUTH2",
}
