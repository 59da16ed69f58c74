//! Secrets: their files, their form, and that they are never shown.

use super::*;

#[test]
fn a_secret_is_read_from_a_file_without_its_line_end() {
    let secret = TempFile::new("secret", "wbk_from_a_file\r\n");
    let path = secret.path();
    let by_file = [("SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY_FILE", path.as_str())];
    let config = environment(&by_file).unwrap();
    assert_eq!(config.upstream.leadlex.api_key.expose_secret(), "wbk_from_a_file");

    let both = [by_file[0], ("SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY", CANARY)];
    assert_eq!(
        environment(&both).unwrap_err(),
        [
            "upstream.leadlex.api_key_file: upstream.leadlex.api_key is set too (variable SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY): set only one of the two (variable SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY_FILE)"
        ]
    );
    let lines = environment(&[("SWITCHBOARD__IDS__KEY_FILE", "no/such/file")]).unwrap_err();
    assert_eq!(
        lines,
        [
            "ids.key_file: cannot read \"no/such/file\": No such file or directory (os error 2) (variable SWITCHBOARD__IDS__KEY_FILE)"
        ]
    );
    let empty = TempFile::new("empty", "\n");
    let lines = environment(&[("SWITCHBOARD__IDS__KEY_FILE", &empty.path())]).unwrap_err();
    assert!(lines.len() == 1 && lines[0].contains("is empty"), "{lines:?}");
    let two = TempFile::new("two", &format!("wbk_{CANARY}\nwbk_{CANARY}\n"));
    let lines = environment(&[("SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY_FILE", &two.path())]).unwrap_err();
    assert_eq!(
        lines,
        [format!(
            "upstream.leadlex.api_key_file: {:?} has several lines: it must contain the secret and at most one line end (variable SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY_FILE)",
            two.path()
        )]
    );
}

#[test]
fn a_malformed_key_or_one_of_the_other_upstream_is_rejected() {
    let refused = |name: &str, value: &str| environment(&[(name, value)]).unwrap_err().join("\n");
    let leadlex = "SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY";
    assert!(refused(leadlex, "ak_canary").contains("begins with ak_: that is a key to Composio"));
    assert!(refused(leadlex, "canary canary").contains("printable ASCII without spaces"));
    let composio = "SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY";
    assert!(refused(composio, "wbk_canary").contains("begins with wbk_: that is a key to LeadLex"));
    assert!(refused("SWITCHBOARD__IDS__KEY", "canary").contains("at least 16 characters"));
    for (name, value) in [(leadlex, "ak_canary"), (composio, "can ary"), ("SWITCHBOARD__IDS__KEY", "canary")]
    {
        assert!(!refused(name, value).contains("canary") && !refused(name, value).contains("can ary"));
    }
}

#[test]
fn an_unreadable_file_is_reported_with_its_position_and_without_its_text() {
    let line = only_problem(&format!("[http]\n[upstream.leadlex]\napi_key = \"{CANARY}\n"));
    assert!(line.starts_with("x.toml: line 3, column "), "{line}");
    assert!(line.contains("not valid TOML: ") && !line.contains(CANARY) && !line.contains('\n'), "{line}");

    for text in ["---\nhttp:\n", "# settings\nhttp:\n  listen: 127.0.0.1:8080\n", "auth: {mode: none}"] {
        assert_eq!(
            only_problem(text),
            "x.toml: this is YAML: the configuration is TOML, as in `[http]` and, below it, `graphiql = true`"
        );
    }

    let unquoted = only_problem("[http]\nlisten = 127.0.0.1:8080\n");
    assert!(
        unquoted.starts_with("x.toml: line 2, column ")
            && unquoted.ends_with("; texts are written in quotes"),
        "{unquoted}"
    );

    let gone = ConfigSources { file: Some("no/such/file.toml".into()), ..ConfigSources::default() };
    assert_eq!(
        problem_lines(Config::load(gone)).unwrap_err(),
        [
            "no/such/file.toml: cannot read the configuration: No such file or directory (os error 2); check the path, which is relative to the working directory"
        ]
    );
}

#[test]
fn all_secrets_are_redacted() {
    let schema = SettingsSchema::built_in().unwrap();
    let secrets: Vec<&str> = schema.iter().filter(|s| schema.is_secret(s)).map(|s| s.name.as_str()).collect();
    assert_eq!(
        secrets,
        [
            "upstream.leadlex.api_key",
            "upstream.composio.api_key",
            "redis.password",
            "ids.key",
            "webhooks.composio_secrets",
            "traces.headers"
        ]
    );
    for setting in schema.iter() {
        let has_secret_name = ["key", "token", "secret", "secrets", "password", "headers"]
            .iter()
            .any(|word| setting.key().ends_with(word));
        assert_eq!(has_secret_name, secrets.contains(&&*setting.name), "{}", setting.name);
    }
    let header = format!("name={CANARY}");
    let value = |name: &str| if name == "traces.headers" { header.as_str() } else { CANARY };
    let pairs: Vec<(String, &str)> =
        secrets.iter().map(|name| (schema::variable(name), value(name))).collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let config = environment(&pairs).unwrap();
    assert!(!format!("{config:?}").contains(CANARY));
    assert!(!config.redacted().contains(CANARY));
    assert_eq!(config.redacted().matches("\"[redacted]\"").count(), secrets.len());
}
