//! The rules, shown small files that break them: what is found, what is said, and what is rightly let through.

use super::rules::{self, Problem};
use super::source::Source;

/// What `rule` says of a tree of these files.
fn said(rule: fn(&[Source]) -> Vec<Problem>, files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<_> = files.iter().map(|(path, text)| Source::read(path, text)).collect();
    rule(&sources).iter().map(Problem::to_string).collect()
}

fn named(path: &str, text: &str) -> Vec<String> {
    Source::read(path, text)
        .names()
        .iter()
        .map(|named| format!("{} {}", named.line, named.path.join("::")))
        .collect()
}

#[test]
fn an_import_that_points_up_is_found_in_every_way_to_write_it() {
    let text = "use crate::domain::page::Page;\nuse crate::{domain, http::{self, ops}};\nuse super::super::operation;\n\
                fn f() -> crate::app::App { todo!() }\npub(crate) use super::errors as e;\n";
    let right = |layer| format!("Right: move what both need down, or let `{layer}` pass it in.");
    assert_eq!(
        said(rules::imports_point_down_only, &[("src/graphql/nodes.rs", text)]),
        [
            format!(
                "src/graphql/nodes.rs:2: `graphql` names `crate::http`, which lies above it. {}",
                right("http")
            ),
            format!(
                "src/graphql/nodes.rs:2: `graphql` names `crate::http::ops`, which lies above it. {}",
                right("http")
            ),
            format!(
                "src/graphql/nodes.rs:3: `graphql` names `crate::operation`, which lies above it. {}",
                right("operation")
            ),
            format!(
                "src/graphql/nodes.rs:4: `graphql` names `crate::app::App`, which lies above it. {}",
                right("app")
            ),
        ]
    );
}

#[test]
fn the_ground_names_nothing_but_itself() {
    let found = said(
        rules::imports_point_down_only,
        &[("src/domain/page.rs", "use crate::upstream::error;\nuse super::input;")],
    );
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("src/domain/page.rs:1: `domain` names `crate::upstream::error`"),
        "{found:?}"
    );
}

#[test]
fn a_new_layer_is_refused() {
    let found = said(rules::imports_point_down_only, &[("src/services/mod.rs", "")]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .starts_with("src/services/mod.rs:1: `services` is no layer. Right: a place inside one of main,")
    );
}

#[test]
fn the_sandbox_shares_nothing_with_the_client() {
    let found = said(
        rules::the_sandbox_stands_alone,
        &[
            ("src/sandbox/item.rs", "use super::state::state;\nuse crate::domain::page::Page;"),
            ("src/sandbox/mod.rs", "use crate::sandbox::item; use http::StatusCode;"),
            ("src/upstream/accounts.rs", "use crate::sandbox::Account;"),
            ("src/app.rs", "use crate::sandbox::Sandbox;"),
            ("src/cli/demo.rs", "use crate::sandbox::Sandbox;"),
        ],
    );
    assert_eq!(
        found,
        [
            "src/sandbox/item.rs:2: `sandbox` names `crate::domain::page::Page`. Right: write it anew here: a type shared \
             with the client lets one mistake pass on both sides.",
            "src/upstream/accounts.rs:1: `upstream` names `crate::sandbox::Account`. Right: only `cli`, `app` and tests \
             start the sandbox.",
        ]
    );
}

#[test]
fn the_whole_configuration_is_seen_from_app_up() {
    let found = said(
        rules::the_whole_configuration_ends_at_app,
        &[
            ("src/http/mod.rs", "fn routes(config: &crate::config::Config) {}"),
            ("src/app.rs", "use crate::config::Config;"),
            ("src/config/rules.rs", "use crate::config::Config;"),
        ],
    );
    assert_eq!(
        found,
        [
            "src/http/mod.rs:1: `http` names `crate::config::Config`. Right: take your own settings as a parameter from `app`."
        ]
    );
}

#[test]
fn a_crate_out_of_its_place_is_found() {
    let found = |path, text| {
        let found = said(rules::every_crate_keeps_its_place, &[(path, text)]);
        found.iter().map(|text| text.split(". ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        found("src/http/a.rs", "use axum::Router;\nuse reqwest::Url;"),
        ["src/http/a.rs:2: `http` names `reqwest`"]
    );
    assert_eq!(
        found("src/operation/a.rs", "#[axum::debug_handler]"),
        ["src/operation/a.rs:1: `operation` names `axum`"]
    );
    assert_eq!(found("src/graphql/a.rs", "use ::moka as m;"), ["src/graphql/a.rs:1: `graphql` names `moka`"]);
    assert_eq!(found("src/loaders/a.rs", "use moka::sync::Cache;"), [""; 0]);
    assert_eq!(
        found("src/loaders/a.rs", "anyhow::bail!()"),
        ["src/loaders/a.rs:1: `loaders` names `anyhow`"]
    );
    assert_eq!(
        found("src/domain/a.rs", "use tokio::time::Instant;\nuse std::fs;\nasync fn f() {}"),
        ["src/domain/a.rs:2: `domain` names `std::fs`", "src/domain/a.rs:3: `domain` is async"]
    );
}

#[test]
fn a_second_client_is_found() {
    let transport = ("src/upstream/transport.rs", "fn f() {\nreqwest::Client::builder()\n}");
    assert_eq!(
        said(rules::one_file_sends, &[transport, ("src/upstream/error.rs", "use reqwest::Error;")]),
        [""; 0]
    );
    let right = "Right: one `send`, in `upstream::transport`, which holds every policy.";
    assert_eq!(
        said(
            rules::one_file_sends,
            &[transport, ("src/upstream/second.rs", "use reqwest::{Error, Client as C};")]
        ),
        [
            format!("src/upstream/transport.rs:2: one of 2 files with an HTTP client of their own. {right}"),
            format!("src/upstream/second.rs:1: one of 2 files with an HTTP client of their own. {right}"),
        ]
    );
}

#[test]
fn only_code_counts_for_a_files_length() {
    let allowed = format!(
        "//! Head.\n\n{}/* a\nb */\n#[cfg(test)]\nmod tests {{\n{}}}\n",
        "let a = 1; // why\n".repeat(400),
        "let a = 1;\n".repeat(400)
    );
    assert_eq!(said(rules::files_are_short, &[("src/domain/a.rs", &allowed)]), [""; 0]);
    assert_eq!(
        said(rules::files_are_short, &[("src/domain/tests.rs", &"let a = 1;\n".repeat(500))]),
        [""; 0]
    );
    let over = format!("{allowed}fn after_the_tests() {{}}\n");
    assert_eq!(
        said(rules::files_are_short, &[("src/domain/a.rs", &over)]),
        [
            "src/domain/a.rs:1: 401 lines of code. Right: at most 400, tests, comments and blank lines not counted: split it \
          by idea."
        ]
    );
    assert_eq!(Source::read("src/a.rs", "const A: &str = \"a\n\n\nb\";\n").code_lines(), 4);
}

#[test]
fn a_vague_name_is_found_in_files_folders_and_modules() {
    let files = [
        ("src/domain/utils.rs", ""),
        ("src/http/common/mod.rs", ""),
        ("tests/it/main.rs", "//! Tests.\nmod helpers {}"),
        ("src/domain/modes.rs", "mod helping {}"),
    ];
    let right = "Right: a word of what is inside.";
    assert_eq!(
        said(rules::names_say_something, &files),
        [
            format!("src/domain/utils.rs:1: the name `utils` says nothing. {right}"),
            format!("src/http/common/mod.rs:1: the name `common` says nothing. {right}"),
            format!("tests/it/main.rs:2: the name `helpers` says nothing. {right}"),
        ]
    );
}

#[test]
fn a_file_without_a_head_is_found() {
    let files =
        [("src/a.rs", "// not this\nmod b;"), ("src/b.rs", "//! This."), ("src/b/tests.rs", "use super::*;")];
    assert_eq!(
        said(rules::every_file_says_what_it_is_for, &files),
        ["src/a.rs:1: no `//!` opens the file. Right: say what it is for, and what was chosen."]
    );
}

#[test]
fn an_orphan_and_a_moved_module_are_found() {
    let files = [
        ("src/lib.rs", "pub mod a;\n// mod lost;\n"),
        ("src/a/mod.rs", "mod b;\n#[cfg(test)]\nmod tests;"),
        ("src/a/b.rs", "#[path = \"elsewhere.rs\"]\nmod c;"),
        ("src/a/b/c.rs", "let [path, line] = place;"),
        ("src/a/tests.rs", ""),
        ("src/lost.rs", ""),
        ("examples/page.rs", ""),
        ("tests/it/main.rs", "mod edge;"),
        ("tests/it/edge.rs", ""),
        ("tests/it/never_run.rs", ""),
    ];
    let right = "Right: a `mod` line in the file above it, or no file.";
    assert_eq!(
        said(rules::every_file_is_reached, &files),
        [
            "src/a/b.rs:1: `#[path]` moves a module. Right: the file where the module's name says that it is.".to_owned(),
            format!("src/lost.rs:1: no `mod` leads to this file, so it is never compiled. {right}"),
            format!("tests/it/never_run.rs:1: no `mod` leads to this file, so it is never compiled. {right}"),
        ]
    );
}

#[test]
fn comments_literals_and_tests_name_nothing() {
    let text = r##"
//! use axum::Router;
/* nested /* use axum::Router; */ still */
const A: &str = "axum::Router \" axum::Router";
const B: &str = r#"axum::Router " axum::Router"#;
const C: [char; 3] = ['"', '\'', '\\'];
fn f<'a>(a: &'a str) -> &'a str { a }
use real::Thing;
#[cfg(test)]
#[allow(dead_code)]
fn for_tests() -> [u8; 3] { axum::f() }
#[cfg(test)]
use axum::{Router, body};
#[cfg(test)]
mod tests { use axum::Router; fn g() {} }
use after::Them;
"##;
    assert_eq!(named("src/http/a.rs", text), ["8 real::Thing", "16 after::Them"]);
}

#[test]
fn relative_paths_are_read_from_where_they_stand() {
    assert_eq!(named("src/a/b.rs", "use super::c; use self::d;"), ["1 crate::a::c", "1 crate::a::b::d"]);
    assert_eq!(named("src/a/mod.rs", "use super::c; use self::d::*;"), ["1 crate::c", "1 crate::a::d::*"]);
    let inline = "mod m { use super::x; fn f() { super::super::super::y::z() } } use super::w;";
    assert_eq!(named("src/a/b.rs", inline), ["1 crate::a::b::x", "1 crate::y::z", "1 crate::a::w"]);
    assert_eq!(named("src/main.rs", "switchboard::cli::run()"), ["1 crate::cli::run"]);
    assert_eq!(named("src/a.rs", "let n = Vec::<u8>::new(); x::y::<T>()"), ["1 Vec", "1 x::y"]);
}
