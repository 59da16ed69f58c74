//! Tests of the rules with small files that break them: what is found, what is reported, and what is allowed.

use super::circles;
use super::rules::{self, Problem};
use super::source::Source;

/// The problems that `rule` reports for these files.
fn problems_of(rule: fn(&[Source]) -> Vec<Problem>, files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<_> = files.iter().map(|(path, text)| Source::read(path, text)).collect();
    rule(&sources).iter().map(Problem::to_string).collect()
}

fn imports_of(path: &str, text: &str) -> Vec<String> {
    Source::read(path, text)
        .used_paths()
        .iter()
        .map(|imports_of| format!("{} {}", imports_of.line, imports_of.path.join("::")))
        .collect()
}

#[test]
fn upward_imports_are_found_in_every_spelling() {
    let text = "use crate::domain::page::Page;\nuse crate::{domain, http::{self, ops}};\nuse super::super::operation;\n\
                fn f() -> crate::app::App { todo!() }\npub(crate) use super::errors as e;\n";
    let right = |layer| format!("Fix: move the shared code down, or let `{layer}` pass it in.");
    assert_eq!(
        problems_of(rules::imports_point_down_only, &[("src/graphql/nodes.rs", text)]),
        [
            format!(
                "src/graphql/nodes.rs:2: `graphql` imports `crate::http`, which is above it. {}",
                right("http")
            ),
            format!(
                "src/graphql/nodes.rs:2: `graphql` imports `crate::http::ops`, which is above it. {}",
                right("http")
            ),
            format!(
                "src/graphql/nodes.rs:3: `graphql` imports `crate::operation`, which is above it. {}",
                right("operation")
            ),
            format!(
                "src/graphql/nodes.rs:4: `graphql` imports `crate::app::App`, which is above it. {}",
                right("app")
            ),
        ]
    );
}

#[test]
fn domain_imports_only_itself() {
    let found = problems_of(
        rules::imports_point_down_only,
        &[("src/domain/page.rs", "use crate::upstream::error;\nuse super::input;")],
    );
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("src/domain/page.rs:1: `domain` imports `crate::upstream::error`"),
        "{found:?}"
    );
}

#[test]
fn unknown_layer_is_refused() {
    let found = problems_of(rules::imports_point_down_only, &[("src/services/mod.rs", "")]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .starts_with("src/services/mod.rs:1: `services` is not a layer. Fix: move it into one of main,")
    );
}

#[test]
fn files_that_import_each_other_are_found() {
    let fix = "Fix: move what both need into a file that both import.";
    let files = [
        ("src/lib.rs", "pub mod domain;"),
        ("src/domain/a.rs", "use super::b::{self, B};"),
        ("src/domain/b.rs", "fn f() { crate::domain::c::f() }"),
        ("src/domain/c/mod.rs", "pub use self::parts::Part;\nmod parts;\nuse super::a::A;"),
        ("src/domain/c/parts.rs", "use super::Other;\n#[cfg(test)]\nmod tests { use crate::domain::d::D; }"),
        ("src/domain/d.rs", "mod e;\nfn f() { e::g() }"),
        ("src/domain/d/e.rs", "use super::D;"),
    ];
    let circle = |files: &str| format!("files that import each other in a circle: {files}. {fix}");
    assert_eq!(
        problems_of(circles::imports_have_no_cycles, &files),
        [
            format!("src/domain/a.rs:1: {}", circle("src/domain/a.rs, src/domain/b.rs, src/domain/c/mod.rs")),
            format!("src/domain/d.rs:1: {}", circle("src/domain/d.rs, src/domain/d/e.rs")),
        ]
    );
}

#[test]
fn graphql_types_may_refer_to_each_other() {
    let object = |import: &str| format!("use super::{import};\nobject_type! {{}}");
    let (user, account) = (object("account::Account"), object("user::User"));
    let files = [("src/graphql/user.rs", user.as_str()), ("src/graphql/account.rs", account.as_str())];
    assert_eq!(problems_of(circles::imports_have_no_cycles, &files), [""; 0]);
    let files = [("src/domain/user.rs", user.as_str()), ("src/domain/account.rs", account.as_str())];
    assert_eq!(problems_of(circles::imports_have_no_cycles, &files).len(), 1);
}

#[test]
fn code_shared_by_sandbox_and_client_is_found() {
    let found = problems_of(
        rules::sandbox_shares_no_code_with_the_client,
        &[
            ("src/sandbox/item.rs", "use super::state::state;\nuse crate::domain::page::Page;"),
            ("src/sandbox/mod.rs", "use crate::sandbox::item; use http::StatusCode;"),
            ("src/upstream/accounts.rs", "use crate::sandbox::Account;"),
            ("src/app/mod.rs", "use crate::sandbox::Sandbox;"),
            ("src/cli/demo.rs", "use crate::sandbox::Sandbox;"),
        ],
    );
    assert_eq!(
        found,
        [
            "src/sandbox/item.rs:2: `sandbox` imports `crate::domain::page::Page`. Fix: write a separate type: a shared one \
             would hide a mistake that both sides make.",
            "src/upstream/accounts.rs:1: `upstream` imports `crate::sandbox::Account`. Fix: only `cli`, `app` and tests \
             start the sandbox.",
        ]
    );
}

#[test]
fn whole_configuration_below_app_is_found() {
    let found = problems_of(
        rules::only_app_and_above_see_the_whole_configuration,
        &[
            ("src/http/mod.rs", "fn routes(config: &crate::config::Config) {}"),
            ("src/app/mod.rs", "use crate::config::Config;"),
            ("src/config/rules.rs", "use crate::config::Config;"),
        ],
    );
    assert_eq!(
        found,
        [
            "src/http/mod.rs:1: `http` imports `crate::config::Config`. Fix: take only your own settings as a parameter from `app`."
        ]
    );
}

#[test]
fn crate_in_a_wrong_layer_is_found() {
    let found = |path, text| {
        let found = problems_of(rules::crates_are_used_only_in_their_layers, &[(path, text)]);
        found.iter().map(|text| text.split(". ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        found("src/http/a.rs", "use axum::Router;\nuse reqwest::Url;"),
        ["src/http/a.rs:2: `http` imports `reqwest`"]
    );
    assert_eq!(
        found("src/operation/a.rs", "#[axum::debug_handler]"),
        ["src/operation/a.rs:1: `operation` imports `axum`"]
    );
    assert_eq!(
        found("src/graphql/a.rs", "use ::moka as m;"),
        ["src/graphql/a.rs:1: `graphql` imports `moka`"]
    );
    assert_eq!(found("src/loaders/a.rs", "use moka::sync::Cache;"), [""; 0]);
    assert_eq!(
        found("src/loaders/a.rs", "anyhow::bail!()"),
        ["src/loaders/a.rs:1: `loaders` imports `anyhow`"]
    );
    assert_eq!(
        found("src/domain/a.rs", "use tokio::time::Instant;\nuse std::fs;\nasync fn f() {}"),
        ["src/domain/a.rs:2: `domain` imports `std::fs`", "src/domain/a.rs:3: `domain` is async"]
    );
}

#[test]
fn second_http_client_is_found() {
    let transport = ("src/upstream/transport.rs", "fn f() {\nreqwest::Client::builder()\n}");
    assert_eq!(
        problems_of(
            rules::only_one_file_sends_http_requests,
            &[transport, ("src/upstream/error.rs", "use reqwest::Error;")]
        ),
        [""; 0]
    );
    let right = "Fix: send only in `upstream::transport`, which applies every policy.";
    assert_eq!(
        problems_of(
            rules::only_one_file_sends_http_requests,
            &[transport, ("src/upstream/second.rs", "use reqwest::{Error, Client as C};")]
        ),
        [
            format!("src/upstream/transport.rs:2: one of 2 files with an HTTP client. {right}"),
            format!("src/upstream/second.rs:1: one of 2 files with an HTTP client. {right}"),
        ]
    );
}

#[test]
fn file_length_counts_only_code() {
    let allowed = format!(
        "//! Head.\n\n{}/* a\nb */\n#[cfg(test)]\nmod tests {{\n{}}}\n",
        "let a = 1; // why\n".repeat(400),
        "let a = 1;\n".repeat(400)
    );
    assert_eq!(problems_of(rules::files_are_short, &[("src/domain/a.rs", &allowed)]), [""; 0]);
    assert_eq!(
        problems_of(rules::files_are_short, &[("src/domain/tests.rs", &"let a = 1;\n".repeat(500))]),
        [""; 0]
    );
    let over = format!("{allowed}fn after_the_tests() {{}}\n");
    assert_eq!(
        problems_of(rules::files_are_short, &[("src/domain/a.rs", &over)]),
        [
            "src/domain/a.rs:1: 401 lines of code. Fix: at most 400, tests, comments and blank lines not counted: split it \
             by topic."
        ]
    );
    assert_eq!(Source::read("src/a.rs", "const A: &str = \"a\n\n\nb\";\n").code_lines(), 4);
}

#[test]
fn vague_names_of_files_folders_and_modules_are_found() {
    let files = [
        ("src/domain/utils.rs", ""),
        ("src/http/common/mod.rs", ""),
        ("tests/it/main.rs", "//! Tests.\nmod helpers {}"),
        ("src/domain/modes.rs", "mod helping {}"),
    ];
    let right = "Fix: name the content.";
    assert_eq!(
        problems_of(rules::names_are_specific, &files),
        [
            format!("src/domain/utils.rs:1: the name `utils` is too vague. {right}"),
            format!("src/http/common/mod.rs:1: the name `common` is too vague. {right}"),
            format!("tests/it/main.rs:2: the name `helpers` is too vague. {right}"),
        ]
    );
}

#[test]
fn file_without_head_comment_is_found() {
    let files =
        [("src/a.rs", "// not this\nmod b;"), ("src/b.rs", "//! This."), ("src/b/tests.rs", "use super::*;")];
    assert_eq!(
        problems_of(rules::every_file_has_a_head_comment, &files),
        [
            "src/a.rs:1: the file does not begin with a `//!` comment. Fix: describe its purpose and its design choices."
        ]
    );
}

#[test]
fn orphan_and_moved_modules_are_found() {
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
    let right = "Fix: a `mod` line in the file above it, or no file.";
    assert_eq!(
        problems_of(rules::every_file_is_compiled, &files),
        [
            "src/a/b.rs:1: `#[path]` moves a module. Fix: put the file at the module's default path."
                .to_owned(),
            format!("src/lost.rs:1: no `mod` leads to this file, so it is never compiled. {right}"),
            format!("tests/it/never_run.rs:1: no `mod` leads to this file, so it is never compiled. {right}"),
        ]
    );
}

#[test]
fn comments_literals_and_tests_are_not_imports() {
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
    assert_eq!(imports_of("src/http/a.rs", text), ["8 real::Thing", "16 after::Them"]);
}

#[test]
fn relative_paths_are_resolved_from_their_module() {
    assert_eq!(imports_of("src/a/b.rs", "use super::c; use self::d;"), ["1 crate::a::c", "1 crate::a::b::d"]);
    assert_eq!(
        imports_of("src/a/mod.rs", "use super::c; use self::d::*;"),
        ["1 crate::c", "1 crate::a::d::*"]
    );
    let inline = "mod m { use super::x; fn f() { super::super::super::y::z() } } use super::w;";
    assert_eq!(imports_of("src/a/b.rs", inline), ["1 crate::a::b::x", "1 crate::y::z", "1 crate::a::w"]);
    assert_eq!(imports_of("src/main.rs", "switchboard::cli::main()"), ["1 crate::cli::main"]);
    assert_eq!(imports_of("src/a.rs", "let n = Vec::<u8>::new(); x::y::<T>()"), ["1 Vec", "1 x::y"]);
}
