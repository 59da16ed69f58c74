//! Messages for wrong settings, and the order of sources.

mod secrets;
mod traces;

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::ExposeSecret;

use super::*;

pub(super) const CANARY: &str = "canary_never_to_be_shown";

/// A temporary file, removed at the end of the test.
pub(super) struct TempFile(pub(super) PathBuf);

impl TempFile {
    pub(super) fn new(name: &str, text: &str) -> Self {
        // Tests run in parallel, in this process and others.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("switchboard-{}-{count}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

pub(super) fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// Loads a configuration from TOML text, without requiring API keys. Fails with its problems, one line each.
pub(super) fn config_from(text: &str) -> Result<Config, Vec<String>> {
    let file_on_disk = TempFile::new("x.toml", text);
    let sources = ConfigSources {
        file: Some(file_on_disk.0.clone()),
        keys: ApiKeys::Optional,
        ..ConfigSources::default()
    };
    problem_lines(Config::load(sources))
        .map_err(|lines| lines.into_iter().map(|line| line.replace(&file_on_disk.path(), "x.toml")).collect())
}

pub(super) fn environment(pairs: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let sources =
        ConfigSources { variables: variables(pairs), keys: ApiKeys::Optional, ..ConfigSources::default() };
    problem_lines(Config::load(sources))
}

/// Returns the problems of a configuration as lines.
pub(super) fn problem_lines(loaded: Result<Config, ConfigErrors>) -> Result<Config, Vec<String>> {
    loaded.map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(lines.join("\n"), errors.to_string());
        lines
    })
}

/// Returns the only problem of a file.
pub(super) fn only_problem(text: &str) -> String {
    let lines = config_from(text).unwrap_err();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines[0].clone()
}

#[test]
fn the_defaults_are_a_configuration_except_for_the_keys() {
    let config = config_from("").unwrap();
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(
        config.upstream.leadlex.base_url.as_str(),
        "https://data.leadlex.com/functions/v1/api-gateway"
    );
    assert!(config.ids.key().is_none() && config.toolkits.file().is_none());
    let lines = problem_lines(Config::load(ConfigSources::default())).unwrap_err();
    assert_eq!(
        lines,
        [
            "upstream.leadlex.api_key: missing: set SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY, or name a file in upstream.leadlex.api_key_file",
            "upstream.composio.api_key: missing: set SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY, or name a file in upstream.composio.api_key_file",
        ]
    );
}

#[test]
fn passthrough_needs_no_keys_and_may_listen_on_any_address() {
    let variables = variables(&[
        ("SWITCHBOARD__AUTH__MODE", "passthrough"),
        ("SWITCHBOARD__HTTP__LISTEN", "0.0.0.0:8080"),
    ]);
    Config::load(ConfigSources { variables, ..ConfigSources::default() }).unwrap();
}

#[test]
fn flags_override_variables_which_override_the_file() {
    let file_on_disk =
        TempFile::new("values", "[connections]\npage_max = 50\naccounts_default = 5\nids_max = 7\n");
    let load = |variables, flags| {
        let file = Some(file_on_disk.0.clone());
        let config = Config::load(ConfigSources { file, variables, flags, keys: ApiKeys::Optional }).unwrap();
        (config.connections.accounts_default, config.connections.ids_max, config.http.listen.port())
    };
    // `providers_default` would be over `page_max`.
    let set = |pairs: &[(&str, &str)]| {
        variables(&[&[("SWITCHBOARD__CONNECTIONS__PROVIDERS_DEFAULT", "50")], pairs].concat())
    };
    assert_eq!(load(set(&[]), vec![]), (5, 7, 8080));
    let environment =
        [("SWITCHBOARD__CONNECTIONS__IDS_MAX", "8"), ("SWITCHBOARD__HTTP__LISTEN", "127.0.0.1:1")];
    assert_eq!(load(set(&environment), vec![]), (5, 8, 1));
    let flag = ("http.listen", "--listen", "127.0.0.1:2".to_owned());
    assert_eq!(load(set(&environment), vec![flag]), (5, 8, 2));
}

#[test]
fn an_unknown_setting_is_rejected_with_the_most_similar_one() {
    assert_eq!(
        only_problem("[upstream.leadlex]\n\napi_kye = \"x\"\n"),
        "upstream.leadlex.api_kye: unknown setting; did you mean upstream.leadlex.api_key? (x.toml, line 3)"
    );
    for (text, meant) in [
        ("[https]\nlisten = \"127.0.0.1:1\"", "did you mean http.listen?"),
        ("[http]\nport = 80", "did you mean http.listen?"),
        (
            "[zzzzzzzz]\nyyyyyyyy = \"x\"",
            "the sections are http, server, limits, rate_limits, rate_limits.admin, rate_limits.member, documents, ops, auth, auth.jwt, upstream.leadlex, upstream.leadlex.quota, upstream.leadlex.concurrency, upstream.leadlex.breaker, upstream.leadlex.retry, upstream.composio, upstream.composio.quota, upstream.composio.concurrency, upstream.composio.breaker, upstream.composio.retry, cache",
        ),
        ("page_rows = 10", "did you mean lists.page_rows?"),
        ("[composio]\napi_key = \"x\"", "did you mean upstream.composio.api_key?"),
        ("http = 3", "http: this is a section: it has settings, not a value"),
        ("[[http]]\nlisten = \"127.0.0.1:1\"", "this is a section"),
    ] {
        let line = only_problem(text);
        assert!(line.contains(meant), "{line}");
    }
    assert_eq!(
        environment(&[("SWITCHBOARD__UPSTREAM__LEADLEX__API_KYE", CANARY)]).unwrap_err(),
        [
            "upstream.leadlex.api_kye: unknown setting; did you mean SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY? (variable SWITCHBOARD__UPSTREAM__LEADLEX__API_KYE)"
        ]
    );
    assert!(config_from("[http]\n# nothing set\n").is_ok());
    assert!(environment(&[("SWITCHBOARD_HOME", "x"), ("PATH", "x")]).is_ok());
}

#[test]
fn a_variable_with_one_underscore_too_few_is_rejected_with_the_right_spelling() {
    assert_eq!(
        environment(&[("SWITCHBOARD_UPSTREAM_LEADLEX_API_KEY", CANARY), ("SWITCHBOARD_TOKEN", CANARY)])
            .unwrap_err(),
        [
            "SWITCHBOARD_UPSTREAM_LEADLEX_API_KEY: this variable is not read: the variable of upstream.leadlex.api_key is SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY"
        ]
    );
}

#[test]
fn a_value_of_a_wrong_type_is_rejected_with_the_expected_type() {
    for (text, expected) in [
        (
            "[cache]\nlimit_bytes = \"64MB\"",
            "cache.limit_bytes: must be a whole number, like 67108864, not the string \"64MB\" (x.toml, line 2)",
        ),
        ("[http]\ngraphiql = 1", "http.graphiql: must be true or false, not the number 1 (x.toml, line 2)"),
        (
            "[http]\nlisten = []",
            "http.listen: must be a string in quotes, like \"127.0.0.1:8080\", not a list (x.toml, line 2)",
        ),
        (
            "[http]\nlisten = \"localhost:80\"",
            "http.listen: \"localhost:80\" is not valid: invalid socket address syntax; an example is \"127.0.0.1:8080\" (x.toml, line 2)",
        ),
        (
            "[auth]\nmode = \"off\"",
            "auth.mode: \"off\" is not valid: it must be one of \"none\", \"tokens\", \"jwt\", \"passthrough\" (x.toml, line 2)",
        ),
        (
            "[auth]\nmode = \"nine\"",
            "auth.mode: \"nine\" is not valid: it must be one of \"none\", \"tokens\", \"jwt\", \"passthrough\" (x.toml, line 2)",
        ),
        (
            "[auth]\nmode = \"token\"",
            "auth.mode: \"token\" is not valid: it must be one of \"none\", \"tokens\", \"jwt\", \"passthrough\"; did you mean \"tokens\"? (x.toml, line 2)",
        ),
        (
            "[log]\nformat = \"JSON\"",
            "log.format: \"JSON\" is not valid: it must be one of \"pretty\", \"json\"; did you mean \"json\"? (x.toml, line 2)",
        ),
        (
            "[log]\nlevel = \"inf\"",
            "log.level: \"inf\" is not valid: `inf` is not a level; use off, error, warn, info, debug or trace; an example is \"info\" (x.toml, line 2)",
        ),
        (
            "[cache]\nlimit_bytes = 99999999999999999999",
            "cache.limit_bytes: the number is too large (x.toml, line 2)",
        ),
        (
            "[upstream.composio]\napi_key = 90125",
            "upstream.composio.api_key: must be a string in quotes, not a whole number (x.toml, line 2)",
        ),
    ] {
        assert_eq!(only_problem(text), expected);
    }
    assert_eq!(
        environment(&[("SWITCHBOARD__HTTP__GRAPHIQL", "yes")]).unwrap_err(),
        [
            "http.graphiql: must be true or false, not the string \"yes\" (variable SWITCHBOARD__HTTP__GRAPHIQL)"
        ]
    );
    let digits = environment(&[("SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY", "90125")]).unwrap();
    assert_eq!(digits.upstream.composio.api_key.expose_secret(), "90125");
}

#[test]
fn a_number_out_of_range_is_rejected_with_the_range() {
    for (text, expected) in [
        (
            "[lists]\npage_rows = 0",
            "lists.page_rows: 0 is out of range: it must be from 1 to 100 (x.toml, line 2)",
        ),
        (
            "[lists]\npage_rows = 101",
            "lists.page_rows: 101 is out of range: it must be from 1 to 100 (x.toml, line 2)",
        ),
        (
            "[upstream.leadlex]\ntimeout_ms = 0",
            "upstream.leadlex.timeout_ms: 0 is out of range: it must be from 1 to 600000 (x.toml, line 2)",
        ),
        (
            "[connections]\nids_max = -1",
            "connections.ids_max: -1 is out of range: it must be from 1 to 2000 (x.toml, line 2)",
        ),
        (
            "[connections]\naccounts_default = 101",
            "connections.accounts_default: 101 is more than connections.page_max, 100 (x.toml, line 2)",
        ),
    ] {
        assert_eq!(only_problem(text), expected);
    }
}

#[test]
fn a_rule_about_two_settings_is_skipped_if_either_is_invalid() {
    let line = only_problem("[connections]\nproviders_default = -1\naccounts_default = 5\npage_max = 5");
    assert!(line.starts_with("connections.providers_default: -1 is out of range"), "{line}");
    let line = only_problem("[http]\nlisten = \"127.0.0.1:9090\"\n[ops]\nlisten = \"nonsense\"");
    assert!(line.starts_with("ops.listen: \"nonsense\" is not valid"), "{line}");
}

#[test]
fn each_number_has_a_range_that_contains_its_default() {
    let schema = SettingsSchema::built_in().unwrap();
    for setting in schema.iter() {
        let range = validation::range(&setting.name);
        let is_in_range =
            range.zip(setting.default.as_integer()).map(|(range, value)| range.contains(&value));
        assert_eq!(is_in_range, setting.default.is_integer().then_some(true), "{}", setting.name);
    }
}

#[test]
fn both_upstreams_have_the_same_settings_and_defaults() {
    let schema = SettingsSchema::built_in().unwrap();
    let of = |section: &str| -> Vec<(String, &Value)> {
        let settings = schema.iter().filter_map(|setting| {
            let name = setting.name.strip_prefix(section)?.to_owned();
            (name != ".base_url").then_some((name, &setting.default))
        });
        settings.collect()
    };
    assert!(of("upstream.leadlex").len() > 15);
    assert_eq!(of("upstream.leadlex"), of("upstream.composio"));
    let config = config_from("[upstream.composio.retry]\nretries_max = 7").unwrap();
    assert_eq!(
        (config.upstream.composio.retry.retries_max, config.upstream.leadlex.retry.retries_max),
        (7, 2)
    );
}

#[test]
fn an_upstream_url_is_a_base_url_without_credentials_query_or_fragment() {
    let refused = |url: &str| only_problem(&format!("[upstream.leadlex]\nbase_url = \"{url}\""));
    for url in ["data.leadlex.com", "localhost:8090", "//data.leadlex.com", "data.leadlex.com/a"] {
        assert_eq!(
            refused(url),
            format!(
                "upstream.leadlex.base_url: \"{url}\" has no scheme: begin it with https:// (or http://) (x.toml, line 2)"
            )
        );
    }
    for (url, why) in [
        ("ftp://data.leadlex.com", "has an unknown scheme"),
        ("https://", "is not a URL: empty host"),
        ("", "has no scheme"),
        ("https://data.leadlex.com?key=canary", "contains a query"),
        ("https://me:canary@data.leadlex.com", "contains a user name or password"),
        ("https://data.leadlex.com#canary", "contains a fragment"),
        ("me:canary@data.leadlex.com", "has no scheme"),
    ] {
        let line = refused(url);
        assert!(line.contains(why) && !line.contains("canary"), "{line}");
    }
}

#[test]
fn mode_none_listens_on_loopback_only() {
    let line = only_problem("[http]\nlisten = \"0.0.0.0:8080\"");
    assert!(line.starts_with("http.listen: auth.mode = \"none\" gives every client"), "{line}");
    let line = only_problem("[ops]\nlisten = \"[::]:9090\"");
    assert!(line.starts_with("ops.listen: ") && line.contains("[::]:9090 is not a loopback"), "{line}");
    assert!(only_problem("[ops]\nlisten = \"127.0.0.1:8080\"").contains("is the address of http.listen"));
    assert!(config_from("[http]\nlisten = \"[::1]:0\"\n[ops]\nlisten = \"127.1.2.3:0\"").is_ok());
}

#[test]
fn the_toolkit_mapping_is_read_and_validated_with_the_configuration() {
    let mapping =
        TempFile::new("mapping", "[[provider]]\ncategory = \"a\"\nname = \"b\"\ntoolkits = [\"c d\"]");
    let lines = environment(&[("SWITCHBOARD__TOOLKITS__FILE", &mapping.path())]).unwrap_err();
    assert!(lines.len() == 1 && lines[0].contains("`c d` is not a toolkit slug"), "{lines:?}");
    let shape = TempFile::new("shape", "[[provider]]\ncategory = 3\n");
    let lines = environment(&[("SWITCHBOARD__TOOLKITS__FILE", &shape.path())]).unwrap_err();
    let place = format!("toolkits.file: {:?}, line 2, column 12: invalid type: integer `3`", shape.path());
    assert!(lines.len() == 1 && lines[0].starts_with(&place), "{lines:?}");
    let lines = environment(&[("SWITCHBOARD__TOOLKITS__FILE", "no/such/file")]).unwrap_err();
    assert!(lines[0].starts_with("toolkits.file: cannot read \"no/such/file\""), "{lines:?}");
    let gmail = "[[provider]]\ncategory = \"email\"\nname = \"gmail\"\ntoolkits = [\"x\"]";
    let mapping = TempFile::new("gmail", gmail);
    let config = environment(&[("SWITCHBOARD__TOOLKITS__FILE", &mapping.path())]).unwrap();
    drop(mapping);
    assert!(
        format!("{:?}", config.toolkit_mapping()).contains("(\"email\", \"gmail\"): [ToolkitSlug(\"x\")]")
    );
}

#[test]
fn all_problems_are_reported_at_once() {
    let file_on_disk = TempFile::new(
        "all",
        "[http]\nlisten = \"x\"\nbody_limit_bytes = 0\n[lists]\npage_rows = \"x\"\n[nowhere]\na_b = 1\n",
    );
    let variables = variables(&[
        ("SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL", "backend"),
        ("SWITCHBOARD__OPS__LISTEN", "1.2.3.4:9"),
    ]);
    let flags = vec![("auth.mode", "--mode", "anyone".to_owned())];
    let sources =
        ConfigSources { file: Some(file_on_disk.0.clone()), variables, flags, keys: ApiKeys::Optional };
    let lines = problem_lines(Config::load(sources)).unwrap_err();
    for subject in [
        "http.listen: ",
        "http.body_limit_bytes: ",
        "lists.page_rows: ",
        "nowhere.a_b: ",
        "upstream.composio.base_url: ",
        "auth.mode: ",
    ] {
        assert_eq!(lines.iter().filter(|line| line.starts_with(subject)).count(), 1, "{lines:#?}");
    }
    assert_eq!(lines.len(), 6, "no problem is reported twice, or because of another: {lines:#?}");
}

#[test]
fn every_setting_in_the_default_file_has_a_comment_above_it() {
    let mut before = "";
    for line in schema::DEFAULTS.lines() {
        let is_entry = !line.starts_with('#') && !line.is_empty();
        assert!(!is_entry || before.starts_with("# "), "no comment above `{line}`");
        before = line;
    }
}

#[test]
fn printed_settings_are_toml_with_the_origin_of_each_value() {
    let config = environment(&[("SWITCHBOARD__LISTS__PAGE_ROWS", "7")]).unwrap();
    let printed: Table = toml::from_str(config.redacted()).unwrap();
    assert_eq!(printed["lists"]["page_rows"].as_integer(), Some(7));
    assert_eq!(printed["upstream"]["leadlex"]["api_key"].as_str(), Some(""));
    assert!(config.redacted().starts_with("[http]\nlisten = \"127.0.0.1:8080\"\n"));
    assert!(config.redacted().contains("\npage_rows = 7 # variable SWITCHBOARD__LISTS__PAGE_ROWS\n"));
    assert_eq!(config.changed(), "[lists]\npage_rows = 7 # variable SWITCHBOARD__LISTS__PAGE_ROWS\n");
    assert_eq!(config_from("").unwrap().changed(), "");
}
