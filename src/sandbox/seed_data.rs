//! The initial accounts of a sandbox, distributed over twenty toolkits.
//!
//! The newest account has the serial 0 in sandboxes of any size, so an id is the same account in small and large ones.
//! Toolkits rotate and are not random: the newest 20 accounts have one of each toolkit, and every page is evenly mixed.
//! With the setting `skew`, the newest 3,000 accounts all belong to the first toolkit instead.

use jiff::{SignedDuration, Timestamp};

use super::accounts::{Account, Accounts};
use super::rng::scatter;
use super::settings::Settings;
use super::toolkits::TOOLKITS;

/// An undocumented status; one account in 200 has it.
const UNKNOWN_STATUS: &str = "QUARANTINED";

/// Creation time of the newest account: 2026-04-17T10:00:00Z.
const NEWEST: i64 = 1_776_420_000;
/// Seconds between two accounts.
const STEP_SECONDS: i64 = 420;
/// One of this many accounts is SHARED.
const SHARED_EVERY: u64 = 25;
/// Number of accounts, the newest ones, that skew gives to the first toolkit.
const SKEWED: u64 = 3_000;
/// Minimum total number of accounts with skew: each toolkit has at least 350 PRIVATE ones after the skewed ones.
const SKEWED_TOTAL_MIN: usize = 10_400;

/// Generates `settings.accounts` accounts. `salt` determines the ids. `user_prefix` begins the user ids, and differs
/// for each tenant.
pub(super) fn generate(settings: &Settings, salt: u64, user_prefix: &str) -> Accounts {
    let (skewed, count) = match settings.skew {
        true => (SKEWED, settings.accounts.max(SKEWED_TOTAL_MIN) as u64),
        false => (0, settings.accounts as u64),
    };
    Accounts::of((0..count).map(|serial| account(serial, count, skewed, salt, user_prefix)).collect())
}

/// Creates account number `serial` of `count`, of which the first `skewed` belong to the first toolkit.
///
/// The toolkits rotate separately among PRIVATE and among SHARED accounts. Lists without SHARED accounts, the default,
/// are therefore evenly mixed too.
fn account(serial: u64, count: u64, skewed: u64, salt: u64, user_prefix: &str) -> Account {
    let after_skewed = serial.saturating_sub(skewed);
    let shared = serial >= skewed && after_skewed % SHARED_EVERY == SHARED_EVERY - 1;
    let toolkit_index = if serial < skewed {
        0
    } else if shared {
        after_skewed / SHARED_EVERY
    } else {
        after_skewed - after_skewed / SHARED_EVERY
    };
    let toolkits = TOOLKITS.len() as u64;
    let (toolkit, auth_scheme) =
        TOOLKITS.get((toolkit_index % toolkits) as usize).copied().unwrap_or_default();

    // Every 50th PRIVATE account has the timestamp of the account with the serial before, so that equal timestamps also
    // occur at page boundaries.
    let private_index = serial - after_skewed / SHARED_EVERY;
    let is_tied = !shared && private_index > 0 && private_index.is_multiple_of(50);
    let created_seconds = NEWEST - (serial as i64 - i64::from(is_tied)) * STEP_SECONDS;
    let created_at = Timestamp::from_second(created_seconds).unwrap_or_default();
    let random = scatter(serial ^ salt.rotate_left(32));
    let updated_at = created_at + SignedDuration::from_millis((1_000 + random % 2_592_000_000) as i64);

    let users = (count / 8).max(1);
    // Shifted by one after each round of toolkits, so that every user gets accounts of all toolkits.
    let user_number = (private_index + private_index / toolkits) % users;
    Account {
        id: id(serial, salt),
        toolkit,
        auth_scheme,
        status: status(serial, random),
        user_id: format!("{user_prefix}{user_number}"),
        created_at,
        updated_at,
        shared,
        is_disabled: serial % 37 == 5,
        written_alias: None,
        written_reason: None,
        serial,
    }
}

fn id(serial: u64, salt: u64) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = u128::from(scatter(serial ^ salt)) << 8 | u128::from(scatter(salt) & 0xff);
    let mut id = String::with_capacity(15);
    id.push_str("ca_");
    for _ in 0..12 {
        id.push(LETTERS.get((rest % 62) as usize).copied().map_or('-', char::from));
        rest /= 62;
    }
    id
}

fn status(serial: u64, random: u64) -> &'static str {
    if serial % 200 == 57 {
        return UNKNOWN_STATUS;
    }
    match (random >> 40) % 100 {
        0..=69 => "ACTIVE",
        70..=78 => "EXPIRED",
        79..=83 => "FAILED",
        84..=88 => "INITIATED",
        89..=92 => "INACTIVE",
        93..=96 => "REVOKED",
        _ => "INITIALIZING",
    }
}
