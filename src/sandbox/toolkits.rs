//! The toolkits of the sandbox.

/// The toolkits of accounts, each with the scheme of its auth config. Together they have all 15 schemes
/// (docs/upstreams.md#composio-account), and LeadLex's rows (`data/leadlex-a.json`) map to all of them
/// (docs/upstreams.md#providers-and-toolkits).
pub const TOOLKITS: [(&str, &str); 20] = [
    ("gmail", "OAUTH2"),
    ("googlecalendar", "OAUTH2"),
    ("slack", "OAUTH2"),
    ("outlook", "OAUTH2"),
    ("microsoft_teams", "S2S_OAUTH2"),
    ("whatsapp", "API_KEY"),
    ("telegram", "BEARER_TOKEN"),
    ("discord", "OAUTH1"),
    ("zoom", "BASIC_WITH_JWT"),
    ("googlesuper", "GOOGLE_SERVICE_ACCOUNT"),
    ("linkedin", "OAUTH2"),
    ("jumpcloud", "SAML"),
    ("googledrive", "OAUTH2"),
    ("one_drive", "CIMD_OAUTH"),
    ("dropbox", "DCR_OAUTH"),
    ("stripe", "SERVICE_ACCOUNT"),
    ("paypal", "BASIC"),
    ("quickbooks", "BILLCOM_AUTH"),
    ("calendly", "CALCOM_AUTH"),
    ("mailchimp", "NO_AUTH"),
];
