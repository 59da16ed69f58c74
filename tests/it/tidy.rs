//! Architecture tests: which layer may import which, where a crate may be used, and what a file must look
//! like.
//!
//! `source` reads a file, `rules` has the rules, and `bad_input` tests them with small files that break them.
//! This file applies them to the project. Clippy checks what it can (Cargo.toml, clippy.toml). These rules
//! are beyond it.

mod bad_input;
mod circles;
mod documents;
mod rules;
mod source;

use std::fs;
use std::path::Path;

use rules::Problem;
use source::Source;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn imports_point_down_only() {
    assert_no_problems(rules::imports_point_down_only);
}

#[test]
fn imports_have_no_cycles() {
    assert_no_problems(circles::imports_have_no_cycles);
}

#[test]
fn sandbox_shares_no_code_with_the_client() {
    assert_no_problems(rules::sandbox_shares_no_code_with_the_client);
}

#[test]
fn only_app_and_above_see_the_whole_configuration() {
    assert_no_problems(rules::only_app_and_above_see_the_whole_configuration);
}

#[test]
fn crates_are_used_only_in_their_layers() {
    assert_no_problems(rules::crates_are_used_only_in_their_layers);
}

#[test]
fn only_one_file_sends_http_requests() {
    assert_no_problems(rules::only_one_file_sends_http_requests);
}

#[test]
fn files_are_short() {
    assert_no_problems(rules::files_are_short);
}

#[test]
fn names_are_specific() {
    assert_no_problems(rules::names_are_specific);
}

#[test]
fn every_file_has_a_head_comment() {
    assert_no_problems(rules::every_file_has_a_head_comment);
}

#[test]
fn every_file_is_compiled() {
    assert_no_problems(rules::every_file_is_compiled);
}

/// A rule that reads nothing always passes. This test proves that the files were found and parsed.
#[test]
fn project_files_are_found_and_parsed() {
    let tree = tree();
    for layer in ["main", "cli", "http", "operation", "graphql", "loaders", "upstream", "domain", "sandbox"] {
        assert!(tree.iter().any(|source| source.layer() == Some(layer)), "no file of {layer}");
    }
    let transport = tree.iter().find(|source| source.path == "src/upstream/transport.rs").unwrap();
    let names: Vec<_> = transport.used_paths().into_iter().map(|named| named.path.join("::")).collect();
    for name in ["reqwest::Client::builder", "crate::upstream::error::UpstreamError"] {
        assert!(names.iter().any(|named| named == name), "{name} not among {names:#?}");
    }
}

fn assert_no_problems(rule: fn(&[Source]) -> Vec<Problem>) {
    let problems: Vec<_> = rule(&tree()).iter().map(Problem::to_string).collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Every Rust file of the project, sorted by path.
fn tree() -> Vec<Source> {
    let mut sources = Vec::new();
    for directory in ["benches", "examples", "src", "tests/it"] {
        for_each_file(directory, &mut |path, text| {
            if path.ends_with(".rs") {
                sources.push(Source::read(path, text));
            }
        });
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Calls `each` with the path and the text of every file of a directory that is text.
fn for_each_file(directory: &str, each: &mut dyn FnMut(&str, &str)) {
    // A directory may be missing.
    let Ok(entries) = fs::read_dir(Path::new(ROOT).join(directory)) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{directory}/{}", entry.file_name().into_string().unwrap());
        // Installed packages and build output.
        if path.ends_with("/node_modules") || path.ends_with("/target") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            for_each_file(&path, each);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            each(&path, &text);
        }
    }
}
