//! The truth table, whole: every status in every case, as `docs/health.md` shows it.

use std::fmt::Write as _;

use super::*;
use crate::domain::accounts::AuthConfig;
use crate::domain::auth_scheme::AuthScheme;
use crate::domain::connection_state::ConnectionState;
use crate::domain::open_enum::{OpenEnum, OpenValue};

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
        toolkit: "gmail".into(),
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
            withheld: Vec::new(),
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
        "# Health\n\nWhat `health` says of an integration or an account: one state, whether somebody has to act, and the \
         reasons. Each is judged from its own upstream alone. This page is written by a test \
         (`domain::health::tests`) from the table in `src/domain/health.rs`.\n\n## Integrations (LeadLex)\n\n\
         `connected` plays no part: where it and the status disagree, the status is the one to trust. A sync is stale \
         where `lastSyncAt` is longer ago than `health.sync_stale_after_ms` (a day).\n\n\
         | status | last sync | state | needs attention | reasons |\n|---|---|---|---|---|\n",
    );
    for (status, _) in PROVIDERS {
        for (sync, last_sync_at) in
            [("none told", None), ("recent", Some(ago(60))), ("stale", Some(ago(90_000)))]
        {
            let verdict = RULES.evaluate_provider(&provider(status, last_sync_at), now());
            writeln!(text, "| {} | {sync} | {} |", upper(status), cells(&verdict)).unwrap();
        }
    }
    text.push_str(
        "\n## Accounts (Composio)\n\nAn account that waits for its user is abandoned where its last change is longer ago \
         than `health.abandoned_after_ms` (ten minutes). It is switched off where `isDisabled` is true, its auth config \
         where `authConfig.isDisabled` is.\n\n\
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
        "\n## Between the two\n\n`Provider.disagreement` asks the other upstream, where it is selected, and is no part of \
         `health`: `DISAGREEMENT` where the integration is `HEALTHY` while all the accounts of its toolkits are `EXPIRED`, \
         or where it is `NEEDS_REAUTH` or `DISCONNECTED` while all of them are `ACTIVE`. Where there are no accounts, \
         nothing disagrees.\n\n## The reasons, in a sentence each\n\n| reason | message |\n|---|---|\n",
    );
    for code in HealthReasonCode::ALL {
        writeln!(text, "| {} | {} |", upper(code), code.message()).unwrap();
    }
    text
}

#[test]
fn the_table_is_what_the_page_shows() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/health.md");
    let document = document();
    if std::env::var_os("SWITCHBOARD_BLESS").is_some() {
        std::fs::write(path, &document).unwrap();
    }
    let shown = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        shown == document,
        "docs/health.md is not what the table comes to; SWITCHBOARD_BLESS=1 writes it anew"
    );
}

#[test]
fn each_status_stands_in_its_table_once() {
    for (at, (status, _)) in ACCOUNTS.iter().enumerate() {
        assert_eq!(ACCOUNTS.iter().position(|(known, _)| known == status), Some(at));
    }
    for (at, (status, _)) in PROVIDERS.iter().enumerate() {
        assert_eq!(PROVIDERS.iter().position(|(known, _)| known == status), Some(at));
    }
    // What a list of those who need attention asks for is all that the table can come to.
    for (status, _) in ACCOUNTS {
        let ever = [0, 601].into_iter().any(|seconds| {
            RULES.evaluate_account(&account(status, Some(ago(seconds)), [false; 2]), now()).needs_attention
        });
        assert_eq!(ever, STATUSES_NEEDING_ATTENTION.contains(&status), "{status:?}");
    }
}

#[test]
fn a_verdict_tells_when_time_alone_changes_it() {
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
    // A moment that nobody told makes nothing old.
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
fn a_reason_knows_since_when() {
    let mut expired = account(AccountStatus::Expired, Some(ago(60)), [false; 2]);
    assert_eq!(RULES.evaluate_account(&expired, now()).reasons.first().unwrap().since, Some(ago(60)));
    expired.state.expired_at = Some(ago(120));
    assert_eq!(RULES.evaluate_account(&expired, now()).reasons.first().unwrap().since, Some(ago(120)));
}
