//! The architecture as tests: who may name whom, where a crate may be used, and what a file may be like.
//!
//! `source` reads a file, `rules` judges, `bad_input` shows the rules small files that break them. Here they meet the
//! tree. Clippy holds what it can (Cargo.toml, clippy.toml); these are the rules that it has no words for.

mod bad_input;
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
    hold(rules::imports_point_down_only);
}

#[test]
fn the_sandbox_stands_alone() {
    hold(rules::the_sandbox_stands_alone);
}

#[test]
fn the_whole_configuration_ends_at_app() {
    hold(rules::the_whole_configuration_ends_at_app);
}

#[test]
fn every_crate_keeps_its_place() {
    hold(rules::every_crate_keeps_its_place);
}

#[test]
fn one_file_sends() {
    hold(rules::one_file_sends);
}

#[test]
fn files_are_short() {
    hold(rules::files_are_short);
}

#[test]
fn names_say_something() {
    hold(rules::names_say_something);
}

#[test]
fn every_file_says_what_it_is_for() {
    hold(rules::every_file_says_what_it_is_for);
}

#[test]
fn every_file_is_reached() {
    hold(rules::every_file_is_reached);
}

/// A rule that reads nothing holds always: what the others rely on is that the tree was found and understood.
#[test]
fn the_tree_is_read() {
    let tree = tree();
    for layer in ["main", "cli", "http", "operation", "graphql", "loaders", "upstream", "domain", "sandbox"] {
        assert!(tree.iter().any(|source| source.layer() == Some(layer)), "no file of {layer}");
    }
    let transport = tree.iter().find(|source| source.path == "src/upstream/transport.rs").unwrap();
    let names: Vec<_> = transport.names().into_iter().map(|named| named.path.join("::")).collect();
    for name in ["reqwest::Client::builder", "crate::upstream::error::UpstreamError"] {
        assert!(names.iter().any(|named| named == name), "{name} not among {names:#?}");
    }
}

fn hold(rule: fn(&[Source]) -> Vec<Problem>) {
    let problems: Vec<_> = rule(&tree()).iter().map(Problem::to_string).collect();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Every Rust file of the project, in the order of their paths.
fn tree() -> Vec<Source> {
    let mut sources = Vec::new();
    for directory in ["benches", "examples", "src", "tests/it"] {
        read_into(&mut sources, directory);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn read_into(sources: &mut Vec<Source>, directory: &str) {
    // `benches` and `examples` come with their issues.
    let Ok(entries) = fs::read_dir(Path::new(ROOT).join(directory)) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{directory}/{}", entry.file_name().into_string().unwrap());
        // What others wrote, and what a build left.
        if path.ends_with("/node_modules") || path.ends_with("/target") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            read_into(sources, &path);
        } else if path.ends_with(".rs") {
            sources.push(Source::read(&path, &fs::read_to_string(entry.path()).unwrap()));
        }
    }
}
