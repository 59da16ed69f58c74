//! How large, how fast and how generous the sandbox is; the flags of `switchboard sandbox` and `demo`.

use clap::{Args, ValueEnum};

/// The sandbox's size and manners. Every field is a command-line flag, and [`Settings::default`] is what no flag means.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Connected accounts of the first tenant, at most a million; the second has a quarter of them.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = up_to_a_million)]
    pub accounts: usize,

    /// Make the newest 3,000 accounts all of one toolkit (and at least 10,400 accounts in all).
    #[arg(long)]
    pub skew: bool,

    /// Milliseconds that every answer takes.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency_ms: u64,

    /// How many LeadLex calls a day and a minute are allowed.
    #[arg(long, value_enum, default_value_t = LeadlexPlan::Org)]
    pub leadlex_plan: LeadlexPlan,

    /// How many Composio calls a minute are allowed.
    #[arg(long, value_enum, default_value_t = ComposioPlan::Pro)]
    pub composio_plan: ComposioPlan,

    /// What a Composio cursor stands for.
    #[arg(long, value_enum, default_value_t = CursorKind::Page)]
    pub cursor: CursorKind,
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
        }
    }
}

/// All of them are held in memory, some 250 bytes each.
fn up_to_a_million(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number <= 1_000_000 => Ok(number),
        _ => Err("it takes 0 to 1000000".to_owned()),
    }
}

/// A LeadLex plan: what a key may ask a day and a minute (UPSTREAMS.md B1.6).
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

/// A Composio plan: what an organization may ask in a minute (UPSTREAMS.md A8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ComposioPlan {
    /// 2,000 calls a minute.
    Hobby,
    /// 10,000 calls a minute.
    Pro,
    /// A million calls a minute: the headers stay, but no benchmark meets the limit.
    Enterprise,
}

/// What a Composio cursor stands for; no source says (UPSTREAMS.md A5), so a client must live with either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CursorKind {
    /// "A base64 encoded string of the page and limit", as the sibling lists say: rows move between pages when data changes.
    Page,
    /// The last row's place in the order: rows do not move between pages.
    Keyset,
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
    fn more_accounts_than_a_sandbox_can_hold_are_refused() {
        let asked = |number: &str| Line::try_parse_from(["sandbox", "--accounts", number]);
        assert_eq!(asked("1000000").map(|line| line.settings.accounts).ok(), Some(1_000_000));
        for number in ["1000001", "99999999999999999999", "few"] {
            let refused = asked(number).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains("it takes 0 to 1000000"), "{refused}");
        }
    }

    #[test]
    fn no_flag_means_the_default_settings() {
        let line = Line::parse_from(["sandbox"]);
        assert_eq!(format!("{:?}", line.settings), format!("{:?}", Settings::default()));
    }
}
