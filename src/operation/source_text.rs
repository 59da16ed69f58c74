//! Rewrites a document's text so that both parsers can read it.
//!
//! The September 2025 edition of the specification allows descriptions on operations, fragments and variables (2.4),
//! and `\u{…}` and surrogate pairs in strings (2.9.4). apollo-compiler's parser does not support these descriptions.
//! async-graphql's parser supports neither these descriptions nor these escapes, nor numbers beyond the range of a
//! double. Each token keeps its line and column.
//!
//! - [`without_descriptions`] returns the text that apollo-compiler parses.
//! - [`for_execution`] turns that into the text that async-graphql parses. [`super::literals`] then replaces its
//!   literals.

use std::borrow::Cow;
use std::ops::Range;

use apollo_parser::{Lexer, Token, TokenKind};

use super::bounds::{self, TooLarge};

/// Replaces descriptions of operations, fragments and variables by blanks.
///
/// # Errors
/// If the document's other strings are too long: apollo-compiler's parser takes up to 50 ns for each of their bytes.
pub(crate) fn without_descriptions(text: &str) -> Result<Cow<'_, str>, TooLarge> {
    // A description is a string, and most documents have none.
    if !text.contains('"') {
        return Ok(Cow::Borrowed(text));
    }
    let (tokens, errors) = Lexer::new(text).lex();
    let strings = tokens.iter().filter(|token| token.kind() == TokenKind::StringValue);
    let string_bytes = bounds::long_literal_bytes(strings.map(|token| token.data().len()));
    if !errors.is_empty() {
        return bounds::check_literals(string_bytes).map(|()| Cow::Borrowed(text));
    }
    let is_significant = |token: &&Token<'_>| {
        !matches!(token.kind(), TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma)
    };
    let tokens: Vec<_> = tokens.iter().filter(is_significant).collect();
    let (mut braces, mut parentheses, mut brackets) = (0_usize, 0_usize, 0_usize);
    let mut descriptions = Vec::new();
    let mut previous = None;
    for (token, next) in tokens.iter().zip(tokens.iter().skip(1)) {
        let depth = match token.kind() {
            TokenKind::LCurly | TokenKind::RCurly => Some(&mut braces),
            TokenKind::LParen | TokenKind::RParen => Some(&mut parentheses),
            TokenKind::LBracket | TokenKind::RBracket => Some(&mut brackets),
            _ => None,
        };
        if let Some(depth) = depth {
            let is_opening =
                matches!(token.kind(), TokenKind::LCurly | TokenKind::LParen | TokenKind::LBracket);
            *depth = if is_opening { *depth + 1 } else { depth.saturating_sub(1) };
        }
        let is_description = token.kind() == TokenKind::StringValue
            && match (braces, parentheses, brackets) {
                (0, 0, 0) => {
                    matches!(next.data(), "query" | "mutation" | "subscription" | "fragment")
                }
                // After `=` it is a default value.
                (0, 1, 0) => next.kind() == TokenKind::Dollar && previous != Some(TokenKind::Eq),
                _ => false,
            };
        if is_description {
            descriptions.push((token.index()..token.index() + token.data().len(), Rewrite::Blank));
        }
        previous = Some(token.kind());
    }
    let description_bytes = bounds::long_literal_bytes(descriptions.iter().map(|(range, _)| range.len()));
    bounds::check_literals(string_bytes - description_bytes)?;
    Ok(rewritten(text, &descriptions))
}

/// Maximum number of digits of an integer. Longer ones are shortened for async-graphql.
const DIGITS_MAX: usize = 18;

/// Replaces by blanks the contents of strings with escapes, and the digits of long integers except the first. Removes
/// comments, of which async-graphql's parser reads a megabyte in 50 ms.
pub(crate) fn for_execution(text: &str) -> Cow<'_, str> {
    let is_number = |window: &[u8]| window.iter().all(u8::is_ascii_digit);
    if !text.contains(['\\', '#']) && !text.as_bytes().windows(DIGITS_MAX).any(is_number) {
        return Cow::Borrowed(text);
    }
    let (tokens, _) = Lexer::new(text).lex();
    let unread = |token: &Token<'_>| {
        let (start, end) = (token.index(), token.index() + token.data().len());
        match token.kind() {
            TokenKind::StringValue if token.data().contains('\\') => {
                let quotes = if token.data().starts_with("\"\"\"") { 3 } else { 1 };
                Some((start + quotes..end - quotes, Rewrite::Blank))
            }
            // The sign and a digit stay.
            TokenKind::Int if token.data().len() > DIGITS_MAX => Some((start + 2..end, Rewrite::Blank)),
            // The last token of its line, so that no other one moves.
            TokenKind::Comment => Some((start..end, Rewrite::Remove)),
            _ => None,
        }
    };
    let ranges: Vec<_> = tokens.iter().filter_map(unread).collect();
    rewritten(text, &ranges)
}

/// Treatment of the characters of a range.
#[derive(Clone, Copy, PartialEq)]
enum Rewrite {
    /// Each is replaced by a blank, except line ends.
    Blank,
    /// Each is removed, except line ends.
    Remove,
}

/// Returns the text with the characters of these ranges rewritten.
fn rewritten<'a>(text: &'a str, ranges: &[(Range<usize>, Rewrite)]) -> Cow<'a, str> {
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut ranges = ranges.iter().peekable();
    let replace = |(at, character): (usize, char)| {
        while ranges.next_if(|(range, _)| range.end <= at).is_some() {}
        let rewrite = ranges.peek().filter(|(range, _)| range.contains(&at)).map(|(_, rewrite)| *rewrite);
        match rewrite {
            Some(Rewrite::Blank) if !matches!(character, '\n' | '\r') => Some(' '),
            Some(Rewrite::Remove) if !matches!(character, '\n' | '\r') => None,
            _ => Some(character),
        }
    };
    Cow::Owned(text.char_indices().filter_map(replace).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_replaced_by_blanks_of_the_same_length() {
        let text = "\"What it is for.\" query Q(\"An id.\" $i: ID = \"x\" \"\"\"two\nlines\"\"\" $j: ID) { a } \"b\" fragment F on Q { c }";
        let plain = without_descriptions(text).unwrap();
        assert_eq!(plain.chars().count(), text.chars().count());
        assert_eq!(
            plain.split_whitespace().collect::<Vec<_>>().join(" "),
            "query Q( $i: ID = \"x\" $j: ID) { a } fragment F on Q { c }"
        );
        assert_eq!(plain.lines().count(), 2);
    }

    #[test]
    fn strings_that_are_not_descriptions_are_unchanged() {
        for text in [
            "query ($a: String = \"x\", $b: [String] = [\"y\" \"z\"]) { f(a: \"query\", b: $b) }",
            "\"a description\" { a }",
            "query ($a: I = {b: \"c\"} $d: ID) { f(a: \"x\") @include(if: true) }",
            "{ f(a: \"unclosed }",
        ] {
            assert_eq!(without_descriptions(text).unwrap(), text);
        }
    }

    #[test]
    fn long_strings_are_refused_and_long_descriptions_are_not() {
        let long = "x\n".repeat(100_000);
        for text in [format!("{{ f(a: \"\"\"{long}\"\"\") }}"), format!("{{ f(a: \"\"\"{long}\"\"\") }} ?")] {
            assert_eq!(without_descriptions(&text), Err(TooLarge::Expensive));
        }
        assert!(without_descriptions(&format!("\"\"\"{long}\"\"\" query Q {{ a }}")).is_ok());
    }

    #[test]
    fn escapes_are_replaced_in_place() {
        let text = "{ f(a: \"\\u{1F600}\\\" x\", b: \"plain\", c: \"\"\"a \\\"\"\" b\nc\"\"\") }";
        let plain = for_execution(text);
        assert_eq!(plain.chars().count(), text.chars().count());
        assert!(!plain.contains('\\') && plain.contains("\"plain\"") && plain.lines().count() == 2);
    }

    #[test]
    fn comments_are_removed_and_no_other_token_moves() {
        let text = "# one\n{ a # two \"b\"\r\n  f(a: \"# no comment\") \"\"\"# none\neither\"\"\" } # end";
        let plain = "\n{ a \r\n  f(a: \"# no comment\") \"\"\"# none\neither\"\"\" } ";
        assert_eq!(for_execution(text), plain);
    }

    #[test]
    fn long_integers_are_shortened_in_place() {
        let text = "{ f(a: -12345678901234567890 b: 123456789012345678) g(a: \"12345678901234567890\") }";
        let plain = for_execution(text);
        assert_eq!(plain.len(), text.len());
        assert_eq!(
            plain.split_whitespace().collect::<Vec<_>>().join(" "),
            "{ f(a: -1 b: 123456789012345678) g(a: \"12345678901234567890\") }"
        );
    }
}
