//! Documents and comments refer to tests and headings, which must exist.
//!
//! SECURITY.md and ARCHITECTURE.md name tests as evidence. Comments cite the headings of docs/upstreams.md.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ROOT, for_each_file};

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
        let unit = module.strip_suffix("/tests").into_iter();
        let unit =
            unit.flat_map(|module| ["{}.rs", "{}/mod.rs"].map(|file| root.join(file.replace("{}", module))));
        let is_in =
            |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("fn {last}(")));
        exists(root, &path) || files.into_iter().chain(unit).any(|file| is_in(&file))
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

/// Anchors of the headings of a page, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -".contains(*letter));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// Anchors in citations such as `docs/upstreams.md#a, #b`, which may continue on the next line of a comment.
fn cited_anchors(text: &str) -> Vec<&str> {
    let mut anchors = Vec::new();
    for mut rest in text.split("docs/upstreams.md").skip(1) {
        while let Some(after) = rest.strip_prefix('#') {
            let is_anchor =
                |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
            let end = after.find(|letter| !is_anchor(letter)).unwrap_or(after.len());
            let (anchor, following) = after.split_at(end);
            anchors.push(anchor);
            rest =
                following.trim_start_matches(|letter: char| letter.is_whitespace() || ",/!".contains(letter));
        }
    }
    anchors
}

#[test]
fn cited_headings_of_the_upstreams_page_exist() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/upstreams.md")).unwrap();
    let anchors = anchors(&page);
    let (mut cited, mut missing) = (0, Vec::new());
    for directory in ["src", "tests/it"] {
        for_each_file(directory, &mut |path, text| {
            for anchor in cited_anchors(text) {
                cited += 1;
                if !anchors.iter().any(|known| known == anchor) && !path.ends_with("tidy/documents.rs") {
                    missing.push(format!("{path}: docs/upstreams.md has no heading #{anchor}"));
                }
            }
        });
    }
    assert_eq!(missing, [] as [String; 0]);
    assert!(cited > 60, "{cited} citations");
}

#[test]
fn a_missing_heading_is_found() {
    let text = "// (docs/upstreams.md#composio-paging,\n    // #no-such-heading). See docs/upstreams.md.";
    assert_eq!(cited_anchors(text), ["composio-paging", "no-such-heading"]);
    assert_eq!(anchors("# Page\n## Composio paging\n### Part\n## It's `v3`"), ["composio-paging", "its-v3"]);
}
