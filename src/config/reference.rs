//! Test that `docs/configuration.md` describes every setting as it is; it also writes the page.
//!
//! The texts are the comments of `switchboard.default.toml`. Ranges come from `validation`, and the settings that a
//! reload applies from `reloadable`.

use std::fmt::Write as _;

use super::reloadable::is_reloadable;
use super::schema::{DEFAULTS, variable};
use super::validation::range;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");

/// Maximum length of a line of text.
const LINE_MAX: usize = 120;

const HEAD: &str = "# Configuration

All settings with their defaults. A test writes this page from
[`switchboard.default.toml`](../switchboard.default.toml), which is compiled into the binary:
`SWITCHBOARD_BLESS=1 cargo test --lib config::reference`.

Later sources override earlier ones: defaults, the file of `--config FILE`, environment variables, flags. A file
contains only the settings that differ from the defaults. `switchboard check --all` prints the settings in force and the
source of each, and `serve` refuses to start if a setting is unknown or invalid.

- An empty string means: not set. It is shown as –.
- A *secret* is never printed or logged. The setting of the same name with `_file` names a file that contains it.
- *Reload*: whether SIGHUP applies a change. The other settings need a restart.
- Entries of lists, like `[[tenants]]`, have no environment variables, because a name could not say which entry.
- Paths are relative to the directory in which Switchboard was started.
- Composio has all settings of LeadLex with the same defaults, as in `upstream.composio.quota.per_minute`
  (`SWITCHBOARD__UPSTREAM__COMPOSIO__QUOTA__PER_MINUTE`).
";

const TABLE_HEAD: &str = "| setting | type | default | range | reload | meaning | environment variable |
|---|---|---|---|---|---|---|
";

/// A section of the default file.
struct Section<'f> {
    name: &'f str,
    is_list: bool,
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let (mut section, mut comment) = (Section { name: "", is_list: false }, Vec::new());
    for line in DEFAULTS.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.trim());
        } else if line.starts_with('[') {
            section = Section { name: line.trim_matches(['[', ']']), is_list: line.starts_with("[[") };
            let text = wrapped(&std::mem::take(&mut comment).join(" "));
            write!(page, "\n## {line}\n\n{text}\n{TABLE_HEAD}").unwrap();
        } else if let Some((key, default)) = line.split_once(" = ") {
            let meaning = std::mem::take(&mut comment).join(" ").replace('|', "\\|");
            page += &row(&section, key, default, &meaning);
        } else {
            comment.clear();
        }
    }
    page
}

fn row(section: &Section<'_>, key: &str, default: &str, meaning: &str) -> String {
    let name = format!("{}.{key}", section.name);
    let default = if default == "\"\"" { "–".to_owned() } else { format!("`{default}`") };
    let range = range(&name).map_or("–".to_owned(), |range| {
        format!("{} to {}", grouped(*range.start()), grouped(*range.end()))
    });
    let reloaded = if section.is_list { section.name } else { name.strip_suffix("_file").unwrap_or(&name) };
    let reload = if is_reloadable(reloaded) || is_reloadable(&name) { "yes" } else { "no" };
    let variable = if section.is_list { "–".to_owned() } else { format!("`{}`", variable(&name)) };
    let kind = kind(key, &default);
    format!("| `{key}` | {kind} | {default} | {range} | {reload} | {meaning} | {variable} |\n")
}

/// Returns the type of a setting, with its unit.
fn kind(key: &str, default: &str) -> &'static str {
    let is_secret = DEFAULTS.contains(&format!("\n{key}_file = "));
    match default.trim_matches('`') {
        "true" | "false" => "boolean",
        text if text.starts_with(|letter: char| letter.is_ascii_digit()) => match key {
            _ if key.ends_with("_ms") => "integer, milliseconds",
            _ if key.ends_with("_bytes") => "integer, bytes",
            _ if key.ends_with("_percent") => "integer, percent",
            _ => "integer",
        },
        _ if is_secret => "string, secret",
        _ => "string",
    }
}

/// Formats a number with a comma between every three digits.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let separated = digits.chars().enumerate().flat_map(|(index, digit)| {
        let is_group = index > 0 && (digits.len() - index).is_multiple_of(3);
        is_group.then_some(',').into_iter().chain([digit])
    });
    separated.collect()
}

fn wrapped(text: &str) -> String {
    let (mut wrapped, mut length) = (String::new(), 0);
    for word in text.split(' ') {
        let word_length = word.chars().count();
        if length + 1 + word_length > LINE_MAX {
            wrapped.push('\n');
            length = 0;
        } else if length > 0 {
            wrapped.push(' ');
            length += 1;
        }
        wrapped += word;
        length += word_length;
    }
    wrapped + "\n"
}

#[test]
fn configuration_page_is_up_to_date() {
    if std::env::var_os("SWITCHBOARD_BLESS").is_some() {
        std::fs::write(PAGE, page()).unwrap();
        return;
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        written == page(),
        "docs/configuration.md differs from switchboard.default.toml. Run this test with SWITCHBOARD_BLESS=1 to rewrite it."
    );
}

#[test]
fn configuration_page_has_a_row_for_every_setting() {
    let page = page();
    for line in DEFAULTS.lines().filter(|line| !line.starts_with('#')) {
        if let Some((key, _)) = line.split_once(" = ") {
            assert!(page.contains(&format!("\n| `{key}` | ")), "{key}");
        }
    }
    let listen = "\n| `listen` | string | `\"127.0.0.1:8080\"` | – | no | Address and port of `/graphql` and GraphiQL; \
        port 0 picks a free one. Flag: --listen | `SWITCHBOARD__HTTP__LISTEN` |\n";
    assert!(page.contains(listen));
    assert!(page.contains("| integer, bytes | `1_048_576` | "));
    assert_eq!((grouped(1), grouped(999), grouped(1_000), grouped(86_400_000)), {
        ("1".to_owned(), "999".to_owned(), "1,000".to_owned(), "86,400,000".to_owned())
    });
}
