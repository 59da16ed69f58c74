//! Settings of the sandbox; they are the flags of `switchboard sandbox` and `demo`.

use clap::{Args, ValueEnum};

/// The sandbox's size, speed and limits. Every field is a command-line flag with the default of [`Settings::default`].
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Connected accounts of the first tenant, at most a million; the second has a quarter of them.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = up_to_a_million)]
    pub accounts: usize,

    /// Assign the newest 3,000 accounts to one toolkit (and create at least 10,400 accounts).
    #[arg(long)]
    pub skew: bool,

    /// Delay of every response in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency_ms: u64,

    /// LeadLex's rate limits per day and minute.
    #[arg(long, value_enum, default_value_t = LeadlexPlan::Org)]
    pub leadlex_plan: LeadlexPlan,

    /// Composio's rate limit per minute.
    #[arg(long, value_enum, default_value_t = ComposioPlan::Pro)]
    pub composio_plan: ComposioPlan,

    /// The kind of Composio's cursors.
    #[arg(long, value_enum, default_value_t = CursorKind::Page)]
    pub cursor: CursorKind,

    /// The order of accounts with the same timestamp in a reversed list.
    #[arg(long, value_enum, default_value_t = Ties::Mirrored)]
    pub ties: Ties,

    /// Return accounts without `user_id`, which Composio is withdrawing from its responses.
    #[arg(long)]
    pub without_user_id: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            accounts: 400,
            skew: false,
            latency_ms: 0,
            leadlex_plan: LeadlexPlan::Org,
            composio_plan: ComposioPlan::Pro,
            cursor: CursorKind::Page,
            ties: Ties::Mirrored,
            without_user_id: false,
        }
    }
}

/// Parses a number of accounts. It is limited because all are in memory, about 250 bytes each.
fn up_to_a_million(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number <= 1_000_000 => Ok(number),
        _ => Err("must be 0 to 1000000".to_owned()),
    }
}

/// A LeadLex plan: rate limits per day and minute (docs/upstreams.md#leadlex-rate-limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LeadlexPlan {
    /// 100 calls a day, 10 a minute.
    Starter,
    /// 1,000 calls a day, 50 a minute.
    Pro,
    /// 10,000 calls a day, 200 a minute.
    Org,
    /// No limit and no `X-RateLimit-*` headers.
    Unmetered,
}

/// A Composio plan: rate limit per minute of an organization (docs/upstreams.md#composio-rate-limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ComposioPlan {
    /// 2,000 calls a minute.
    Hobby,
    /// 10,000 calls a minute.
    Pro,
    /// A million calls a minute: the headers are sent, but no benchmark reaches the limit.
    Enterprise,
}

/// The kind of Composio's cursors. No source documents it (docs/upstreams.md#composio-paging), so a client must
/// support both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CursorKind {
    /// "A base64 encoded string of the page and limit", as similar lists document: rows move between pages when data
    /// changes.
    Page,
    /// The sort key of the last row: rows do not move between pages.
    Keyset,
}

/// The order of accounts with the same timestamp in a reversed list. No source documents it, so a client must support
/// both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ties {
    /// Reversed, as with `ORDER BY time DESC, id DESC`: each list is the other one reversed.
    Mirrored,
    /// The same in both directions, as with `ORDER BY time DESC, id`.
    Stable,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn too_many_accounts_are_refused() {
        let parse = |number: &str| Line::try_parse_from(["sandbox", "--accounts", number]);
        assert_eq!(parse("1000000").map(|line| line.settings.accounts).ok(), Some(1_000_000));
        for number in ["1000001", "99999999999999999999", "few"] {
            let refused = parse(number).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains("must be 0 to 1000000"), "{refused}");
        }
    }

    #[test]
    fn no_flags_give_the_default_settings() {
        let line = Line::parse_from(["sandbox"]);
        assert_eq!(format!("{:?}", line.settings), format!("{:?}", Settings::default()));
    }
}
