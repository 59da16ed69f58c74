//! Messages about syntax errors.
//!
//! The parser's messages use its own token names, and it reports every place where a missing bracket is noticed.
//! [`unbalanced`] finds the bracket itself, and [`in_plain_words`] replaces the names.

use apollo_parser::{Lexer, TokenKind};
use async_graphql::Pos;

use super::codes::Code;
use super::errors::{GraphqlError, VALUE_CHARS_MAX, shortened_to};

/// The parser's names of tokens, with the tokens themselves.
const NAMES: [(&str, &str); 8] = [
    ("R_CURLY", "`}`"),
    ("L_CURLY", "`{`"),
    ("R_PAREN", "`)`"),
    ("L_PAREN", "`(`"),
    ("R_BRACK", "`]`"),
    ("L_BRACK", "`[`"),
    ("COLON", "`:`"),
    ("EOF", "the end of the document"),
];

/// Messages of the parser that are not helpful, with better ones.
const WHOLE: [(&str, &str); 3] = [
    ("unexpected <EOF>.", "the document is empty: it needs an operation, as in `{ viewer { role } }`"),
    ("expected definition", "expected `{`, `query`, `mutation`, `subscription` or `fragment`"),
    ("expected a valid Value", "expected a value, as in 10, \"text\", ACTIVE, [1] or $variable"),
];

/// Returns the parser's message with its token names replaced, and with at most the beginning of the token that it
/// found.
pub(super) fn in_plain_words(message: &str) -> String {
    if let Some((_, words)) = WHOLE.iter().find(|(whole, _)| message.eq_ignore_ascii_case(whole)) {
        return (*words).to_owned();
    }
    let (expected, found) = message.split_once(", got ").unwrap_or((message, ""));
    let replaced =
        |text: &str| NAMES.iter().fold(text.to_owned(), |text, (name, token)| text.replace(name, token));
    match found {
        "" => replaced(expected),
        "EOF" => format!("{}, found {}", replaced(expected), replaced(found)),
        found => format!("{}, found {}", replaced(expected), shortened_to(VALUE_CHARS_MAX, found)),
    }
}

/// Returns the error about the first bracket without a counterpart. Returns `None` if all brackets match, or if the
/// text cannot be split into tokens.
pub(super) fn unbalanced(text: &str) -> Option<GraphqlError> {
    let (tokens, errors) = Lexer::new(text).lex();
    if !errors.is_empty() {
        return None;
    }
    let mut open: Vec<(&str, &str, usize)> = Vec::new();
    for token in &tokens {
        let (opening, closing) = match token.kind() {
            TokenKind::LCurly | TokenKind::RCurly => ("{", "}"),
            TokenKind::LParen | TokenKind::RParen => ("(", ")"),
            TokenKind::LBracket | TokenKind::RBracket => ("[", "]"),
            _ => continue,
        };
        if token.data() == opening {
            open.push((opening, closing, token.index()));
            continue;
        }
        match open.pop() {
            Some((_, expected, _)) if expected == closing => {}
            Some((opening, expected, from)) => {
                let Pos { line, column } = position(text, from);
                let message = format!(
                    "Syntax Error: found \"{closing}\" where \"{expected}\" is missing: the \"{opening}\" in line {line}, column \
                     {column} is not closed."
                );
                return Some(error(text, message, token.index()));
            }
            None => {
                let message = format!(
                    "Syntax Error: this \"{closing}\" closes nothing: remove it, or add \"{opening}\" before it."
                );
                return Some(error(text, message, token.index()));
            }
        }
    }
    let (opening, closing, from) = *open.first()?;
    let message = match open.len() {
        1 => format!("Syntax Error: a closing \"{closing}\" is missing: this \"{opening}\" is not closed."),
        count => format!(
            "Syntax Error: {count} closing brackets are missing: this \"{opening}\" is the first that is not closed."
        ),
    };
    Some(error(text, message, from))
}

fn error(text: &str, message: String, offset: usize) -> GraphqlError {
    GraphqlError::new(Code::GraphqlParseFailed, message).at([position(text, offset)])
}

/// Returns line and column of a byte, counted from 1.
fn position(text: &str, offset: usize) -> Pos {
    let before = text.get(..offset).unwrap_or(text);
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    Pos { line: before.matches('\n').count() + 1, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Option<(String, usize, usize)> {
        let error = unbalanced(text)?;
        let at = error.locations[0];
        Some((error.message, at.line, at.column))
    }

    #[test]
    fn an_unbalanced_bracket_is_reported_with_its_position() {
        for (text, words, line, column) in [
            ("{ a {\n b }", "a closing \"}\" is missing: this \"{\" is not closed", 1, 1),
            (
                "query {\n a(b: [1, 2) }",
                "found \")\" where \"]\" is missing: the \"[\" in line 2, column 7",
                2,
                12,
            ),
            ("{ a } }", "this \"}\" closes nothing", 1, 7),
            ("{ a { b { c", "3 closing brackets are missing", 1, 1),
            ("{ # ä }\n a(b: \"}\" ", "2 closing brackets are missing", 1, 1),
        ] {
            let (said, at_line, at_column) = message(text).unwrap();
            assert!(said.starts_with(&format!("Syntax Error: {words}")), "{said}");
            assert_eq!((at_line, at_column), (line, column), "{text}");
        }
        for text in ["{ a(b: \"{\") # {\n }", "{ a(b: \"unclosed }", ""] {
            assert_eq!(message(text), None, "{text}");
        }
    }

    #[test]
    fn token_names_of_the_parser_are_replaced() {
        assert_eq!(
            in_plain_words("expected R_CURLY, got EOF"),
            "expected `}`, found the end of the document"
        );
        assert!(in_plain_words("Unexpected <EOF>.").starts_with("the document is empty"));
        assert!(in_plain_words("expected definition").contains("`query`"));
        let long = in_plain_words(&format!("expected a Name, got \"{}\"", "x".repeat(100)));
        assert_eq!(long, format!("expected a Name, found \"{}…", "x".repeat(39)));
    }
}
