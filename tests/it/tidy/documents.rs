//! SECURITY.md and ARCHITECTURE.md name tests as evidence: each named test must exist.

use std::fs;
use std::path::{Path, PathBuf};

use super::ROOT;

/// Names between backticks that are tests or test modules: `laws::members`, `edge::jwt::forged_tokens…`,
/// `interop/verdicts`.
fn named_tests(text: &str) -> Vec<&str> {
    let words = text.split('`').skip(1).step_by(2);
    let is_plain = |word: &&str| {
        word.chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_:/".contains(letter))
    };
    let is_test = |word: &&str| {
        let is_script = word.starts_with("interop/") || word.starts_with("browser/");
        is_script
            || word.contains("::")
                && roots().iter().any(|root| exists(root, word.split("::").next().unwrap_or_default()))
    };
    words.filter(is_plain).filter(is_test).collect()
}

fn roots() -> [PathBuf; 2] {
    ["tests/it", "src"].map(|root| Path::new(ROOT).join(root))
}

fn exists(root: &Path, module: &str) -> bool {
    root.join(format!("{module}.rs")).exists() || root.join(module).is_dir()
}

/// Whether this test module or test exists.
fn test_exists(name: &str) -> bool {
    if name.contains('/') {
        return Path::new(ROOT).join(format!("tests/{name}.test.mjs")).exists();
    }
    let path = name.replace("::", "/");
    let (module, last) = path.rsplit_once('/').unwrap_or(("", &path));
    roots().iter().any(|root| {
        let files = ["{}.rs", "{}/mod.rs", "{}/tests.rs"].map(|file| root.join(file.replace("{}", module)));
        // Unit tests are in a module `tests` of the file that they test.
        let unit = module.strip_suffix("/tests").map(|module| root.join(format!("{module}.rs")));
        let is_in =
            |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("fn {last}(")));
        exists(root, &path) || files.iter().chain(&unit).any(is_in)
    })
}

#[test]
fn tests_named_in_documents_exist() {
    for document in ["SECURITY.md", "ARCHITECTURE.md"] {
        let text = fs::read_to_string(Path::new(ROOT).join(document)).unwrap();
        let named_tests = named_tests(&text);
        assert!(named_tests.len() > 20, "{document} names few tests: {named_tests:?}");
        let missing: Vec<_> = named_tests.into_iter().filter(|name| !test_exists(name)).collect();
        assert_eq!(missing, [] as [&str; 0], "{document}");
    }
}

#[test]
fn every_threat_has_a_test() {
    let text = fs::read_to_string(Path::new(ROOT).join("SECURITY.md")).unwrap();
    let is_head = |row: &&str| ["| asset", "| point", "|---"].iter().any(|head| row.starts_with(head));
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with('|') && !is_head(line)).collect();
    assert!(rows.len() > 40, "{} rows", rows.len());
    for row in rows {
        let last = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
        assert!(!named_tests(last).is_empty(), "no test: {row}");
    }
}

#[test]
fn missing_test_is_found() {
    assert!(test_exists("laws::members") && test_exists("tidy::documents::missing_test_is_found"));
    for name in [
        "laws::nothing",
        "laws::members::nothing",
        "edge::jwt::a_forged",
        "interop/nothing",
        "loaders::cache::nothing",
    ] {
        assert!(!test_exists(name), "{name}");
    }
    assert_eq!(
        named_tests("`a::b`, `laws::members` and `interop/verdicts`, not `Type::of` or `cargo test`"),
        ["laws::members", "interop/verdicts"]
    );
}
