//! The complete truth table: every status in every case, as `docs/health.md` lists it.

use std::fmt::Write as _;

use super::*;
use crate::domain::accounts::AuthConfig;
use crate::domain::auth_scheme::AuthScheme;
use crate::domain::connection_state::ConnectionState;
use crate::domain::open_enum::{OpenEnum, OpenValue};
use crate::domain::toolkits::ToolkitSlug;

const RULES: HealthRules = HealthRules {
    abandoned_after: Duration::from_secs(600),
    sync_stale_after: Some(Duration::from_secs(86_400)),
};

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: u64) -> Timestamp {
    now().checked_sub(Duration::from_secs(seconds)).unwrap()
}

fn provider(status: ProviderStatus, last_sync_at: Option<Timestamp>) -> Provider {
    let status = if status == ProviderStatus::Unknown { "paused" } else { status.as_str() };
    Provider { status: OpenValue::parse(status), last_sync_at, ..Provider::expected("email", "gmail") }
}

fn account(status: AccountStatus, updated_at: Option<Timestamp>, off: [bool; 2]) -> ConnectedAccount {
    let status = if status == AccountStatus::Unknown { "PAUSED" } else { status.as_str() };
    let [is_disabled, is_auth_config_disabled] = off;
    ConnectedAccount {
        id: "ca_1".into(),
        toolkit: ToolkitSlug::of_upstream("gmail"),
        auth_config: AuthConfig {
            id: "ac_1".into(),
            auth_scheme: OpenValue::Known(AuthScheme::Oauth2),
            is_composio_managed: true,
            is_disabled: is_auth_config_disabled,
            legacy_uuid: None,
        },
        word_id: None,
        alias: None,
        user_id: None,
        status: OpenValue::parse(status),
        status_reason: None,
        is_disabled,
        known_weight: 0,
        account_type: None,
        created_at: None,
        updated_at,
        state: ConnectionState {
            auth_scheme: OpenValue::Known(AuthScheme::Oauth2),
            status: None,
            scopes: Vec::new(),
            token_type: None,
            expires_at: None,
            expired_at: None,
            revoked_at: None,
            error: None,
            error_description: None,
            settings: Vec::new(),
            withheld: Default::default(),
        },
        test_request_endpoint: None,
        legacy: None,
    }
}

/// A name as the schema spells it.
fn upper(name: impl std::fmt::Debug) -> String {
    let mut text = String::new();
    for letter in format!("{name:?}").chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

fn cells(verdict: &HealthVerdict) -> String {
    let reasons: Vec<String> = verdict.reasons.iter().map(|reason| upper(reason.code)).collect();
    let attention = if verdict.needs_attention { "**yes**" } else { "no" };
    format!("{} | {attention} | {}", upper(verdict.state), reasons.join(", "))
}

fn document() -> String {
    let mut text = String::from(
        "# Health\n\nThe values of `health` for an integration or an account: one state, whether it needs attention, and the\n\
         reasons. Each is evaluated from its own upstream alone. A test (`domain::health::tests`) writes this page from\n\
         the table in `src/domain/health.rs`.\n\n## Integrations (LeadLex)\n\n\
         `connected` is not evaluated: if it contradicts the status, the status is right. A sync is stale if `lastSyncAt`\n\
         is longer ago than `health.sync_stale_after_ms` (one day).\n\n\
         | status | last sync | state | needs attention | reasons |\n|---|---|---|---|---|\n",
    );
    for (status, _) in PROVIDERS {
        for (sync, last_sync_at) in [("none", None), ("recent", Some(ago(60))), ("stale", Some(ago(90_000)))]
        {
            let verdict = RULES.evaluate_provider(&provider(status, last_sync_at), now());
            writeln!(text, "| {} | {sync} | {} |", upper(status), cells(&verdict)).unwrap();
        }
    }
    text.push_str(
        "\n## Accounts (Composio)\n\nA pending account is abandoned if its last change is longer ago than\n\
         `health.abandoned_after_ms` (ten minutes). An account is disabled if `isDisabled` is true, and its auth config if\n\
         `authConfig.isDisabled` is true.\n\n\
         | status | waits | switched off | state | needs attention | reasons |\n|---|---|---|---|---|---|\n",
    );
    for (status, _) in ACCOUNTS {
        let ages =
            if is_pending(status) { [("shortly", 60), ("too long", 601)].as_slice() } else { &[("", 60)] };
        for (age, seconds) in ages {
            for (off, flags) in [
                ("", [false, false]),
                ("account", [true, false]),
                ("auth config", [false, true]),
                ("both", [true, true]),
            ] {
                let verdict = RULES.evaluate_account(&account(status, Some(ago(*seconds)), flags), now());
                writeln!(text, "| {} | {age} | {off} | {} |", upper(status), cells(&verdict)).unwrap();
            }
        }
    }
    text.push_str(
        "\n## Both upstreams\n\n`Provider.disagreement` is not part of `health`. If a query selects it, Switchboard reads the\n\
         other upstream too. It is `DISAGREEMENT` if the integration is `HEALTHY` while all accounts of its toolkits are\n\
         `EXPIRED`, or if it is `NEEDS_REAUTH` or `DISCONNECTED` while all of them are `ACTIVE`. Without accounts there is\n\
         no disagreement.\n\n## The reasons, in a sentence each\n\n| reason | message |\n|---|---|\n",
    );
    for code in HealthReasonCode::ALL {
        writeln!(text, "| {} | {} |", upper(code), code.message()).unwrap();
    }
    text
}

#[test]
fn docs_health_md_matches_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/health.md");
    let document = document();
    if std::env::var_os("SWITCHBOARD_BLESS").is_some() {
        std::fs::write(path, &document).unwrap();
    }
    let shown = std::fs::read_to_string(path).unwrap_or_default();
    assert!(shown == document, "docs/health.md does not match the table; SWITCHBOARD_BLESS=1 rewrites it");
}

#[test]
fn each_status_is_in_its_table_once() {
    for (at, (status, _)) in ACCOUNTS.iter().enumerate() {
        assert_eq!(ACCOUNTS.iter().position(|(known, _)| known == status), Some(at));
    }
    for (at, (status, _)) in PROVIDERS.iter().enumerate() {
        assert_eq!(PROVIDERS.iter().position(|(known, _)| known == status), Some(at));
    }
    // The filter for accounts that need attention covers all rows of the table that can need it.
    for (status, _) in ACCOUNTS {
        let ever = [0, 601].into_iter().any(|seconds| {
            RULES.evaluate_account(&account(status, Some(ago(seconds)), [false; 2]), now()).needs_attention
        });
        assert_eq!(ever, STATUSES_NEEDING_ATTENTION.contains(&status), "{status:?}");
    }
}

#[test]
fn a_verdict_includes_the_time_of_its_next_change() {
    let pending = account(AccountStatus::Initiated, Some(ago(599)), [false; 2]);
    let verdict = RULES.evaluate_account(&pending, now());
    let changes_at = verdict.changes_at.unwrap();
    assert_eq!(changes_at, now() + Duration::from_secs(1));
    assert!(!verdict.needs_attention && RULES.evaluate_account(&pending, changes_at).needs_attention);
    assert_eq!(RULES.evaluate_account(&pending, changes_at).changes_at, None);

    let synced = provider(ProviderStatus::Healthy, Some(ago(86_399)));
    let changes_at = RULES.evaluate_provider(&synced, now()).changes_at.unwrap();
    assert_eq!(RULES.evaluate_provider(&synced, now()).state, HealthState::Healthy);
    assert_eq!(RULES.evaluate_provider(&synced, changes_at).state, HealthState::Degraded);
    // Without a timestamp nothing becomes old.
    assert_eq!(
        RULES.evaluate_account(&account(AccountStatus::Initiated, None, [false; 2]), now()).changes_at,
        None
    );
    let unwatched = HealthRules { sync_stale_after: None, ..RULES };
    assert_eq!(
        unwatched.evaluate_provider(&provider(ProviderStatus::Healthy, Some(ago(9_999_999))), now()).reasons,
        []
    );
}

#[test]
fn a_reason_includes_its_start_time() {
    let mut expired = account(AccountStatus::Expired, Some(ago(60)), [false; 2]);
    assert_eq!(RULES.evaluate_account(&expired, now()).reasons.first().unwrap().since, Some(ago(60)));
    expired.state.expired_at = Some(ago(120));
    assert_eq!(RULES.evaluate_account(&expired, now()).reasons.first().unwrap().since, Some(ago(120)));
}
