use secrecy::ExposeSecret;

use super::super::tests::{
    CANARY, TempFile, config_from, environment, only_problem, problem_lines, variables,
};
use super::super::{ConfigSources, schema::SettingsSchema};
use crate::domain::hex::hex;
use crate::domain::role::Role;
use crate::http::caller::settings::AuthMode;

/// An entry of `[[auth.tokens]]`, with a hash of its own.
fn token(name: &str, more: &str) -> String {
    let hash = hex(name.as_bytes());
    format!("[[auth.tokens]]\nname = \"{name}\"\nsha256 = \"{hash:0<64}\"\n{more}\n")
}

/// Returns the problems of a configuration.
fn problems(text: &str) -> Vec<String> {
    config_from(text).unwrap_err()
}

#[test]
fn tenants_and_tokens_are_read_in_their_order() {
    let text = format!(
        "[auth]\nmode = \"tokens\"\n{}{}[[tenants]]\nname = \"acme\"\nleadlex_api_key = \"wbk_a\"\ncomposio_api_key = \"ak_a\"\n",
        token("frontend", "role = \"admin\"\ntenant = \"acme\""),
        token("ann@acme", "user_id = \"user_1\""),
    );
    let config = config_from(&text).unwrap();
    let [acme] = config.tenants.as_slice() else { panic!("{:?}", config.tenants) };
    assert_eq!((acme.name.as_str(), acme.composio_api_key.expose_secret()), ("acme", "ak_a"));
    let [frontend, ann] = config.auth.tokens.as_slice() else { panic!("{:?}", config.auth.tokens) };
    assert_eq!((frontend.role(), frontend.tenant.as_str()), (Ok(Role::Admin), "acme"));
    // The defaults give the least access: a member of the default tenant.
    assert_eq!((ann.name.as_str(), ann.tenant.as_str()), ("ann@acme", "default"));
    assert!(matches!(ann.role(), Ok(Role::Member(id)) if id.as_str() == "user_1"));
    let none = config_from("tenants = []\n[auth]\ntokens = []\n").unwrap();
    assert!(none.tenants.is_empty() && none.auth.tokens.is_empty());
}

#[test]
fn problems_of_an_entry_name_its_index_and_the_most_similar_key() {
    // A value of the wrong type is dropped, so the entry is also reported as having no user id, at the line of the
    // entry.
    let entry = token("a", "rol = \"admin\"\nuser_id = 7");
    assert_eq!(
        problems(&format!("{}{entry}", token("b", "user_id = \"x\""))),
        [
            "auth.tokens[1].rol: unknown setting; did you mean role? (x.toml, line 8)",
            "auth.tokens[1].user_id: must be a string in quotes, like \"\", not the number 7 (x.toml, line 9)",
            "auth.tokens[1].user_id: a member's user id must not be empty, must not contain commas or control characters, must not begin or end with white space, and has at most 256 bytes (x.toml, line 5)",
        ]
    );
    assert_eq!(
        problems(&token("a", "role = \"owner\"")),
        [
            "auth.tokens[0].role: \"owner\" is not valid: it must be one of \"admin\", \"member\" (x.toml, line 4)"
        ]
    );
    assert_eq!(
        only_problem("[[tenants]]\nname = \"a\"\nzzz = 1\n"),
        "tenants[0].zzz: unknown setting; an entry has name, leadlex_api_key, leadlex_api_key_file, composio_api_key, composio_api_key_file, composio_webhook_secrets, composio_webhook_secrets_file (x.toml, line 3)"
    );
}

#[test]
fn a_list_in_another_form_is_rejected_with_the_right_form() {
    let right = "tenants is a list of sections: begin each entry with [[tenants]] (x.toml, line 2)";
    assert_eq!(only_problem("[tenants]\nname = \"a\"\n"), format!("tenants.name: {right}"));
    assert_eq!(
        only_problem("tenants = \"a\""),
        "tenants: is a list of sections: begin each entry with [[tenants]] (x.toml, line 1)"
    );
    assert!(only_problem("tenants = [1, 2]").contains("[[tenants]]"));
    assert_eq!(
        only_problem("[[tenant]]\nname = \"a\"\n"),
        "tenant: unknown setting; did you mean tenants? (x.toml, line 1)"
    );
    assert!(only_problem("[[http]]\nlisten = \"127.0.0.1:1\"\n").contains("this is a section"));
    assert_eq!(
        environment(&[("SWITCHBOARD__TENANTS__NAME", "a")]).unwrap_err(),
        [
            "tenants.name: tenants is a list of sections, which only a file can set (variable SWITCHBOARD__TENANTS__NAME)"
        ]
    );
}

#[test]
fn names_and_hashes_of_entries_are_unique() {
    let twice = format!("{}{}", token("a", "user_id = \"x\""), token("a", "user_id = \"x\""));
    assert_eq!(
        problems(&twice),
        [
            "auth.tokens[1].name: \"a\" is the name of another entry: names must be unique (x.toml, line 6)",
            "auth.tokens[1].sha256: is the hash of another entry: each caller needs its own token (x.toml, line 7)",
        ]
    );
    for name in ["", "a b", "a\\nb", &"x".repeat(65)] {
        let line = only_problem(&format!("[[tenants]]\nname = \"{name}\"\n"));
        assert!(line.starts_with("tenants[0].name: must have 1 to 64 letters"), "{line}");
    }
    assert!(only_problem("[[tenants]]\n").starts_with("tenants[0].name: must have 1 to 64 letters"));
    assert!(only_problem("[[tenants]]\nname = \"default\"\n").contains("\"default\" is reserved"));
}

#[test]
fn a_token_needs_a_hash_a_tenant_and_a_valid_user_id() {
    let wrong = |more: &str| problems(&token("a", more)).join("\n");
    assert_eq!(
        wrong("user_id = \"x\"\ntenant = \"acme\""),
        "auth.tokens[0].tenant: \"acme\" is not a tenant; the tenants are \"default\" (x.toml, line 5)"
    );
    for more in ["", "user_id = \"\"", "user_id = \"a,b\"", "user_id = \" a\""] {
        assert!(
            wrong(more).starts_with("auth.tokens[0].user_id: a member's user id must not be empty"),
            "{more}"
        );
    }
    assert!(wrong("role = \"admin\"\nuser_id = \"x\"").contains("an admin has no user id"));
    let text = format!("[[auth.tokens]]\nname = \"a\"\nuser_id = \"x\"\nsha256 = \"swb_{CANARY}\"\n");
    let line = only_problem(&text);
    // A token pasted instead of its hash is not repeated in the log.
    assert!(line.contains("64 hexadecimal digits") && !line.contains(CANARY), "{line}");
}

#[test]
fn mode_tokens_needs_a_token() {
    let line = only_problem("[auth]\nmode = \"tokens\"");
    assert!(
        line.contains("at least one [[auth.tokens]]") && line.contains("switchboard token new"),
        "{line}"
    );
    let text = format!(
        "[http]\nlisten = \"0.0.0.0:80\"\n[auth]\nmode = \"tokens\"\n{}",
        token("a", "user_id = \"x\"")
    );
    assert!(config_from(&text).is_ok(), "any address is allowed with tokens");
}

/// Returns the problems that `serve` reports. Unlike [`config_from`], it also requires the API keys.
fn problems_of_serve(text: &str, keys: &[(&str, &str)]) -> Vec<String> {
    let file_on_disk = TempFile::new("served", text);
    let file = Some(file_on_disk.0.clone());
    let sources = ConfigSources { file, variables: variables(keys), ..ConfigSources::default() };
    let refused = problem_lines(crate::config::Config::load(sources)).err().unwrap_or_default();
    refused.into_iter().map(|line| line.replace(&file_on_disk.path(), "x.toml")).collect()
}

#[test]
fn serve_needs_the_keys_of_all_configured_tenants_and_the_default_ones_if_used() {
    let tenants = "[[tenants]]\nname = \"acme\"\nleadlex_api_key = \"wbk_a\"\n";
    let of = |tenant: &str| {
        format!(
            "[auth]\nmode = \"tokens\"\n{}{tenants}",
            token("a", &format!("user_id = \"x\"\ntenant = \"{tenant}\""))
        )
    };
    assert_eq!(
        problems_of_serve(&of("acme"), &[]),
        [
            "tenants[0].composio_api_key: missing: set it, or name a file in composio_api_key_file (x.toml, line 8)"
        ]
    );
    // The keys of `acme` are required although no token uses it.
    let lines = problems_of_serve(&of("default"), &[]);
    let names: Vec<_> = lines.iter().map(|line| line.split(": missing").next().unwrap()).collect();
    assert_eq!(
        names,
        ["upstream.leadlex.api_key", "upstream.composio.api_key", "tenants[0].composio_api_key"],
        "{lines:#?}"
    );
    let keys = [
        ("SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY", "wbk_x"),
        ("SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY", "ak_x"),
    ];
    assert_eq!(
        problems_of_serve(&format!("[auth]\nmode = \"tokens\"\n{}", token("a", "user_id = \"x\"")), &keys),
        [""; 0]
    );
    // Callers with their own keys need none here, even if tenants are configured for another mode.
    assert_eq!(problems_of_serve(&format!("[auth]\nmode = \"passthrough\"\n{tenants}"), &[]), [""; 0]);
}

#[test]
fn keys_of_tenants_are_read_from_files_validated_and_redacted() {
    let secret = TempFile::new("tenant", &format!("ak_{CANARY}\n"));
    let text = format!(
        "[[tenants]]\nname = \"acme\"\nleadlex_api_key = \"wbk_{CANARY}\"\ncomposio_api_key_file = {:?}\n{}",
        secret.path(),
        token("a", "user_id = \"x\"\ntenant = \"acme\"")
    );
    let config = config_from(&text).unwrap();
    assert_eq!(config.tenants[0].composio_api_key.expose_secret(), format!("ak_{CANARY}"));
    let printed: toml::Table = toml::from_str(config.redacted()).unwrap();
    assert_eq!(printed["tenants"][0]["leadlex_api_key"].as_str(), Some("[redacted]"));
    assert_eq!(printed["auth"]["tokens"][0]["name"].as_str(), Some("a"));
    assert!(!config.redacted().contains(CANARY) && !format!("{config:?}").contains(CANARY));
    assert!(config.redacted().contains("[[tenants]] # "), "{}", config.redacted());

    let wrong = format!(
        "[[tenants]]\nname = \"a\"\nleadlex_api_key = \"ak_{CANARY}\"\ncomposio_api_key = \"{CANARY} x\"\n\
         [[tenants]]\nname = \"b\"\ncomposio_api_key_file = \"no/such/file\"\n"
    );
    let lines = problems(&wrong);
    assert_eq!(
        lines,
        [
            "tenants[0].leadlex_api_key: begins with ak_: that is a key to Composio (x.toml, line 3)",
            "tenants[0].composio_api_key: an API key must be printable ASCII without spaces, and not empty (x.toml, line 4)",
            "tenants[1].composio_api_key_file: cannot read \"no/such/file\": No such file or directory (os error 2) (x.toml, line 7)",
        ]
    );
}

#[test]
fn all_secrets_of_entries_have_a_file_setting() {
    let schema = SettingsSchema::built_in().unwrap();
    for list in schema.lists() {
        for setting in list.entry_schema.iter() {
            let has_secret_name = ["key", "token", "secret", "secrets", "password"]
                .iter()
                .any(|word| setting.name.ends_with(word));
            assert_eq!(has_secret_name, list.entry_schema.is_secret(setting), "{}", setting.name);
        }
    }
}

const JWKS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn jwt(more: &str) -> String {
    format!("[auth]\nmode = \"jwt\"\n[auth.jwt]\nissuer = \"i\"\naudience = \"a\"\n{more}\n")
}

#[test]
fn mode_jwt_needs_keys_issuer_and_audience() {
    assert_eq!(
        problems("[auth]\nmode = \"jwt\"\n"),
        [
            "auth.jwt.issuer: missing: auth.mode = \"jwt\" needs it",
            "auth.jwt.audience: missing: auth.mode = \"jwt\" needs it",
            "auth.jwt.jwks_url: missing: auth.mode = \"jwt\" needs it, or a file in auth.jwt.jwks_file",
        ]
    );
    assert!(config_from(&jwt("jwks_url = \"https://issuer.example/keys\"")).is_ok());
    assert!(config_from(&jwt("jwks_url = \"http://127.0.0.1:8070/keys\"")).is_ok());
    for (url, why) in [
        ("http://issuer.example/keys", "must use https"),
        ("ftp://127.0.0.1/keys", "must use https"),
        ("issuer.example", "is not a URL"),
        ("https://me:canary@issuer.example", "contains a user name or password"),
        ("https://canary@issuer.example", "contains a user name or password"),
        ("https://issuer.example/keys?token=canary", "contains a query or a fragment"),
        ("https://issuer.example/keys?", "contains a query or a fragment"),
        ("https://issuer.example/keys#canary", "contains a query or a fragment"),
    ] {
        let line = only_problem(&jwt(&format!("jwks_url = \"{url}\"")));
        assert!(line.contains(why) && !line.contains("canary"), "{line}");
    }
    // Settings of another mode are not required.
    assert!(config_from("[auth.jwt]\nissuer = \"i\"\n").is_ok());
}

#[test]
fn jwks_file_contains_public_keys() {
    let set = TempFile::new("jwks", JWKS);
    let by_file = format!("jwks_file = {:?}", set.path());
    assert!(config_from(&jwt(&by_file)).is_ok());
    let both = only_problem(&jwt(&format!("{by_file}\njwks_url = \"https://issuer.example/keys\"")));
    assert!(both.starts_with("auth.jwt.jwks_file: auth.jwt.jwks_url is set too"), "{both}");
    let none = TempFile::new("none", r#"{"keys":[{"kty":"oct","k":"canary"}]}"#);
    let line = only_problem(&jwt(&format!("jwks_file = {:?}", none.path())));
    assert!(line.contains("no key that can verify a signature") && !line.contains("canary"), "{line}");
    assert!(only_problem(&jwt("jwks_file = \"no/such/file\"")).contains("cannot read \"no/such/file\""));
}

#[test]
fn only_asymmetric_algorithms_are_allowed() {
    for word in ["none", "HS256", "HS512", "rs256", "ES512", "RS256, none", ""] {
        let line =
            only_problem(&jwt(&format!("jwks_url = \"https://issuer.example\"\nalgorithms = \"{word}\"")));
        assert!(line.starts_with("auth.jwt.algorithms: ") && line.contains("is not valid"), "{line}");
    }
    assert!(config_from(&jwt("jwks_url = \"https://issuer.example\"\nalgorithms = \"PS512,EdDSA\"")).is_ok());
}

#[test]
fn without_tenants_or_with_an_empty_tenant_claim_the_default_keys_are_required() {
    let jwt = jwt("jwks_url = \"https://issuer.example\"");
    assert_eq!(problems_of_serve(&jwt, &[]).len(), 2, "there is no other tenant");
    let tenant = "[[tenants]]\nname = \"a\"\nleadlex_api_key = \"wbk_a\"\ncomposio_api_key = \"ak_a\"\n";
    // By default, `tenant_claim` is `tenant`. An empty one puts all callers into the default tenant.
    assert_eq!(problems_of_serve(&format!("{jwt}{tenant}"), &[]), [""; 0]);
    assert_eq!(problems_of_serve(&format!("{jwt}tenant_claim = \"\"\n{tenant}"), &[]).len(), 2);
}

#[test]
fn a_webhook_key_under_24_bytes_is_refused() {
    let set = |secret: &str| config_from(&format!("[webhooks]\ncomposio_secrets = \"{secret}\""));
    // 16 bytes.
    let lines = set("whsec_MDEyMzQ1Njc4OWFiY2RlZg==").unwrap_err();
    assert_eq!(
        lines,
        [
            "webhooks.composio_secrets: the base64 after `whsec_` is a key of 16 bytes, which is too short: it must have at least 24 bytes; create a new secret (x.toml, line 2)"
        ]
    );
    // Only for `whsec_` and base64 is the length of the key known. Other texts need 16 characters.
    for secret in [
        "whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u",
        "whsec_a_text_that_is_not_base64",
        "another_text_0123456789",
    ] {
        assert!(set(secret).is_ok(), "{secret}");
    }
}

#[test]
fn the_jwt_sample_in_the_documentation_is_a_valid_configuration() {
    let page = include_str!("../../../docs/authentication.md");
    let samples = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let sample = samples.filter(|text| text.contains("[auth.jwt]")).collect::<Vec<_>>();
    assert_eq!(sample.len(), 1);
    let key = TempFile::new("key", "a_key_of_a_sample\n");
    let text = ["leadlex", "composio"]
        .into_iter()
        .fold(sample[0].to_owned(), |text, name| text.replace(&format!("secrets/{name}"), &key.path()));
    let config = config_from(&text).unwrap();
    assert_eq!((config.auth.mode, config.auth.jwt.tenant_claim.as_str()), (AuthMode::Jwt, ""));
    assert_eq!(config.warnings(), [] as [&str; 0]);
}
