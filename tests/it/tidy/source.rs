//! A Rust file as the rules see it: tokens with line numbers, and imported paths.
//!
//! A small tokenizer is enough, because the rules only need imports and file lengths. `grep` would take
//! comments for imports and miss `use crate::{a, b}`.

use std::collections::BTreeSet;

pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    last_line: usize,
}

/// A path that the code uses, as `crate::a::b` if it is in this crate. Each leaf of a group is separate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsedPath {
    pub(crate) line: usize,
    pub(crate) path: Vec<String>,
    /// Whether a `pub use` names it.
    pub(crate) is_reexport: bool,
}

pub(crate) struct Source {
    /// Relative to the repository root, with `/`.
    pub(crate) path: String,
    /// Whether the file begins with a `//!` comment.
    pub(crate) has_head: bool,
    /// All tokens except comments, tests included.
    pub(crate) tokens: Vec<Token>,
    /// The tokens without tests.
    pub(crate) shipped: Vec<Token>,
}

impl Source {
    pub(crate) fn read(path: &str, text: &str) -> Self {
        let tests_alone =
            path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/");
        Self {
            path: path.to_owned(),
            has_head: text.trim_start().starts_with("//!"),
            tokens: tokens(text),
            shipped: if tests_alone { Vec::new() } else { without_tests(tokens(text)) },
        }
    }

    /// The layer of a file under `src`: `http` for `src/http/ops.rs`, `main` for `src/main.rs`.
    pub(crate) fn layer(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        inside.split('/').next().map(|first| first.trim_end_matches(".rs"))
    }

    /// The number of lines with code. Comments, blank lines and tests do not count.
    pub(crate) fn code_lines(&self) -> usize {
        self.shipped.iter().flat_map(|token| token.line..=token.last_line).collect::<BTreeSet<_>>().len()
    }

    /// The paths that the code uses, without tests.
    pub(crate) fn used_paths(&self) -> Vec<UsedPath> {
        used_paths(&self.shipped, &self.module())
    }

    /// The modules declared in files of their own, tests included, each with the paths where the compiler
    /// looks for it.
    pub(crate) fn declared_files(&self) -> Vec<[String; 2]> {
        let directory = match self.path.rsplit_once('/') {
            Some((directory, "lib.rs" | "main.rs" | "mod.rs")) => directory,
            _ => self.path.trim_end_matches(".rs"),
        };
        let declared = self.tokens.windows(3).filter(|three| three[0].text == "mod" && three[2].text == ";");
        declared
            .map(|three| {
                let name = &three[1].text;
                [format!("{directory}/{name}.rs"), format!("{directory}/{name}/mod.rs")]
            })
            .collect()
    }

    pub(crate) fn module(&self) -> Vec<String> {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inside.split('/').filter(|part| !matches!(*part, "lib" | "main" | "mod")).map(str::to_owned).collect()
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let rest = &chars[at..];
        let length = length(rest).clamp(1, rest.len());
        let piece: String = rest[..length].iter().collect();
        let last_line = line + piece.matches('\n').count();
        let blank = rest[0].is_whitespace() || piece.starts_with("//") || piece.starts_with("/*");
        if !blank {
            tokens.push(Token { text: piece, line, last_line });
        }
        (at, line) = (at + length, last_line);
    }
    tokens
}

/// The length of the comment, literal, word or sign at the start of `rest`.
fn length(rest: &[char]) -> usize {
    let at = |index: usize| rest.get(index).copied().unwrap_or('\0');
    let word = |index: usize| at(index).is_alphanumeric() || at(index) == '_';
    match (at(0), at(1)) {
        ('/', '/') => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ('/', '*') => block_comment(rest),
        (':', ':') => 2,
        ('\'', '\\') => 3 + rest.iter().skip(3).position(|&c| c == '\'').map_or(0, |quote| quote + 1),
        ('\'', _) if at(2) == '\'' => 3,
        _ => match string(rest) {
            Some(length) => length,
            None => (0..).take_while(|&index| word(index)).count(),
        },
    }
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of the string literal at the start of `rest`, if there is one.
fn string(rest: &[char]) -> Option<usize> {
    let prefix = rest.iter().take(2).take_while(|c| matches!(c, 'b' | 'c' | 'r')).count();
    let raw = rest[..prefix].contains(&'r');
    let hashes = if raw { rest[prefix..].iter().take_while(|&&c| c == '#').count() } else { 0 };
    let mut at = prefix + hashes;
    if rest.get(at) != Some(&'"') {
        return None;
    }
    at += 1;
    while at < rest.len() {
        let closed = rest[at] == '"' && rest[at + 1..].iter().take_while(|&&c| c == '#').count() >= hashes;
        if closed {
            return Some(at + 1 + hashes);
        }
        at += if rest[at] == '\\' && !raw { 2 } else { 1 };
    }
    Some(rest.len())
}

/// Removes each item under `#[cfg(test)]`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        kept.push(token);
        if !kept.iter().rev().zip(MARK.iter().rev()).all(|(token, mark)| token.text == *mark)
            || kept.len() < 7
        {
            continue;
        }
        kept.truncate(kept.len() - MARK.len());
        let mut depth = 0;
        while let Some(token) = rest.next() {
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            let whole = token.text == "}" && rest.peek().is_none_or(|next| next.text != ";");
            if depth <= 0 && (whole || token.text == ";") {
                break;
            }
        }
    }
    kept
}

fn used_paths(tokens: &[Token], module: &[String]) -> Vec<UsedPath> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    let mut here = module.to_vec();
    let mut inline_modules = Vec::new();
    let (mut at, mut depth) = (0, 0);
    while at < tokens.len() {
        match text(at) {
            "mod" if text(at + 2) == "{" => {
                here.push(text(at + 1).to_owned());
                inline_modules.push(depth);
            }
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline_modules.pop_if(|outside| *outside == depth).is_some() {
                    here.pop();
                }
            }
            _ => {}
        }
        let start = match text(at) {
            "use" if text(at + 1) == "::" => Some(at + 2),
            "use" => Some(at + 1),
            _ if is_word(text(at)) && text(at + 1) == "::" => Some(at),
            _ => None,
        };
        let already = found.len();
        // `pub use` and `pub(crate) use`.
        let is_reexport = text(at) == "use" && at > 0 && matches!(text(at - 1), "pub" | ")");
        at = start.map_or(at, |start| tree(tokens, start, Vec::new(), &mut found)).max(at + 1);
        for named in &mut found[already..] {
            named.is_reexport = is_reexport;
            named.path = absolute(std::mem::take(&mut named.path), &here);
        }
    }
    found
}

/// Reads one path or one `use` tree from `at` on, and returns its end.
fn tree(tokens: &[Token], mut at: usize, mut path: Vec<String>, found: &mut Vec<UsedPath>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let line = tokens.get(at).map_or(0, |token| token.line);
    loop {
        match text(at) {
            "{" => {
                at += 1;
                while !matches!(text(at), "}" | "") {
                    at = tree(tokens, at, path.clone(), found);
                    // Skips `as name` after a leaf.
                    while !matches!(text(at), "," | "}" | "") {
                        at += 1;
                    }
                    at += usize::from(text(at) == ",");
                }
                return at + 1;
            }
            word if is_word(word) || word == "*" => path.push(word.to_owned()),
            _ => break,
        }
        at += 1;
        if text(at) != "::" {
            break;
        }
        at += 1;
    }
    path.pop_if(|last| last == "self");
    if !path.is_empty() {
        found.push(UsedPath { line, path, is_reexport: false });
    }
    at
}

fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c == '_') && text.starts_with(|c: char| !c.is_numeric())
}

/// Resolves `path`, written in module `here`, from the crate root. Paths of other crates are unchanged.
fn absolute(path: Vec<String>, here: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let (base, skipped) = match path.first().map(String::as_str) {
        Some("crate" | "switchboard") => (&here[..0], 1),
        Some("self") => (here, 1),
        Some("super") => (&here[..here.len().saturating_sub(ups)], ups),
        _ => return path,
    };
    let root = std::iter::once("crate".to_owned());
    root.chain(base.iter().cloned()).chain(path.into_iter().skip(skipped)).collect()
}
