//! Fuzzing in every test run: the targets over mutated documents, 200 each (30 configurations).
//! `SWITCHBOARD_FUZZ_CASES` sets another number. `make fuzz` runs the same targets with coverage guidance by
//! libFuzzer.

mod generated;
pub(crate) mod targets;

use std::env;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use self::targets::TARGETS;
use self::targets::seeds::seeds;

/// The number of cases of a test.
fn cases(default: u32) -> ProptestConfig {
    let cases = env::var("SWITCHBOARD_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(default), failure_persistence: None, ..ProptestConfig::default() }
}

/// One mutation of a document.
#[derive(Debug, Clone)]
enum Mutation {
    Cut(Index, Index),
    Double(Index, Index),
    /// Inserts a piece of another seed.
    Splice(Index, Index, Index, Index),
    Byte(Index, u8),
    /// Replaces a JSON value with a value of another type.
    Value(Index, &'static str),
    /// Inserts any of these texts anywhere.
    Insert(Index, &'static str),
}

/// Replacement values: other types, extreme numbers, invalid texts, excessive sizes.
const REPLACEMENTS: [&str; 24] = [
    "null",
    "true",
    "{}",
    "[]",
    "[{}]",
    "\"\"",
    "\"text\"",
    "0",
    "-1",
    "3.0",
    "1e400",
    "-0",
    "18446744073709551616",
    "9223372036854775807",
    "2147483648",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"\u{fffd}\u{202e}\"",
    "{\"a\":{\"a\":{\"a\":[[[[]]]]}}}",
    "\"2026-02-30T00:00:00Z\"",
    "\"-009999-01-02T01:59:59Z\"",
    "\"9999-12-31T23:59:59.999999999Z\"",
    "\",\"",
    "nan",
];

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let at = any::<Index>;
    let other = || prop::sample::select(&REPLACEMENTS[..]);
    let mutation = prop_oneof![
        2 => (at(), at()).prop_map(|(from, to)| Mutation::Cut(from, to)),
        2 => (at(), at()).prop_map(|(from, to)| Mutation::Double(from, to)),
        2 => (at(), at(), at(), at()).prop_map(|(seed, from, to, at)| Mutation::Splice(seed, from, to, at)),
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Byte(at, byte)),
        8 => (at(), other()).prop_map(|(at, other)| Mutation::Value(at, other)),
        1 => (at(), other()).prop_map(|(at, other)| Mutation::Insert(at, other)),
    ];
    prop::collection::vec(mutation, 0..8)
}

/// A range of a document, mostly short. Removing half of the document each time would test little.
fn range(len: usize, from: Index, to: Index) -> std::ops::Range<usize> {
    let from = from.index(len + 1);
    let most = (len - from).min(1 << to.index(12));
    from..from + to.index(most + 1)
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        match self {
            Self::Cut(from, to) => drop(bytes.drain(range(bytes.len(), *from, *to))),
            Self::Double(from, to) => {
                let range = range(bytes.len(), *from, *to);
                let (piece, end) = (bytes[range.clone()].to_vec(), range.end);
                bytes.splice(end..end, piece);
            }
            Self::Splice(seed, from, to, at) => {
                let seed = seed.get(seeds);
                let piece = seed[range(seed.len(), *from, *to)].to_vec();
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, piece);
            }
            Self::Byte(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Byte(..) => {}
            Self::Value(at, other) => {
                let begins: Vec<_> = (0..bytes.len()).filter(|at| b":=[,".contains(&bytes[*at])).collect();
                if begins.is_empty() {
                    return;
                }
                let begin = at.get(&begins) + 1;
                let ends = |byte: &u8| b",}])\n&".contains(byte);
                let len = bytes[begin..].iter().position(ends).unwrap_or(bytes.len() - begin);
                bytes.splice(begin..begin + len, other.bytes());
            }
            Self::Insert(at, other) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, other.bytes());
            }
        }
    }
}

/// Runs a target.
fn fuzz(name: &str) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
    let seeds = seeds(name);
    for seed in &seeds {
        target(seed);
    }
    let mutated = (any::<Index>(), mutations()).prop_map(|(seed, mutations)| {
        let mut bytes = seed.get(&seeds).clone();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes, &seeds));
        bytes
    });
    // A configuration is validated as a whole, defaults included. That costs a hundred times as much as
    // another case.
    let by_default = if name == "configuration" { 30 } else { 200 };
    let mut runner = TestRunner::new(cases(by_default));
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    runner
        .run(&mutated, |bytes| {
            let outcome = std::panic::catch_unwind(|| target(&bytes)).map_err(|_| shown(&bytes));
            outcome.map_err(|bytes| TestCaseError::fail(format!("{name}: {bytes}")))
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// A seed that is refused early covers nothing.
#[test]
fn seeds_are_valid_for_their_targets() {
    use self::targets::{coding, decoders, http};
    assert!(
        seeds("accounts")
            .iter()
            .all(|seed| decoders::page_of(seed).is_some_and(|page| !page.items.is_empty()))
    );
    assert!(seeds("providers").iter().filter(|seed| decoders::list_of(seed).is_some()).count() >= 3);
    assert!(seeds("coding").iter().all(|seed| {
        let (coding, body) = coding::split(seed);
        coding::providers_of(&::http::HeaderValue::from_bytes(coding).unwrap(), body) == Some(0)
    }));
    assert!(seeds("http").iter().all(|seed| http::read(seed).is_some()));
}

#[test]
fn accounts() {
    fuzz("accounts");
}

#[test]
fn providers() {
    fuzz("providers");
}

#[test]
fn coding() {
    fuzz("coding");
}

#[test]
fn documents() {
    fuzz("documents");
}

#[test]
fn headers() {
    fuzz("headers");
}

#[test]
fn ids() {
    fuzz("ids");
}

#[test]
fn configuration() {
    fuzz("configuration");
}

#[test]
fn http() {
    fuzz("http");
}
