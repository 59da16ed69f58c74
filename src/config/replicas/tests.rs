use secrecy::ExposeSecret as _;

use super::super::tests::{CANARY, TempFile, config_from, only_problem};

fn refused(settings: &str) -> String {
    only_problem(&format!("[redis]\n{settings}\n"))
}

#[test]
fn redis_url_is_scheme_host_port_and_database_only() {
    for url in [
        "redis://127.0.0.1",
        "redis://cache.internal:6380/3",
        "rediss://[2001:db8::1]:6379/",
        "redis://localhost/",
    ] {
        assert_eq!(config_from(&format!("[redis]\nurl = \"{url}\"")).unwrap().redis.url, url);
    }
    for (url, why) in [
        ("canary:6379", "has no scheme: begin it with redis://"),
        ("http://canary", "has an unknown scheme: begin it with redis://"),
        ("redis+unix:///canary", "has an unknown scheme: begin it with redis://"),
        ("redis://canary@host", "contains a user name or password: use redis.username"),
        ("redis://:canary@host", "contains a user name or password: use redis.username"),
        ("redis://host?password=canary", "contains a query or a fragment"),
        ("rediss://host#insecure", "contains a query or a fragment"),
        ("redis:///1", "names no host"),
        ("redis://0.0.0.0", "names no host"),
        ("redis://host/canary", "has a path that is not the number of a database"),
        ("redis://host/1/canary", "has a path that is not the number of a database"),
        ("redis://host:canary", "is not a URL: invalid port number"),
    ] {
        let line = refused(&format!("url = \"{url}\""));
        assert!(line.starts_with("redis.url: ") && line.contains(why), "{line}");
        assert!(!line.contains("canary") && line.ends_with("(x.toml, line 2)"), "{line}");
    }
}

#[test]
fn the_password_is_read_from_a_file_and_required_with_a_user_name() {
    let password = TempFile::new("password", &format!("{CANARY}\n"));
    let config =
        config_from(&format!("[redis]\nusername = \"me\"\npassword_file = {:?}", password.path())).unwrap();
    assert_eq!(config.redis.password.expose_secret(), CANARY);
    assert!(!config.redacted().contains(CANARY) && !format!("{:?}", config.redis).contains(CANARY));
    assert_eq!(
        refused("username = \"me\""),
        "redis.username: set without redis.password: set both (x.toml, line 2)"
    );
    let line = refused("username = \"me\"\npassword_file = \"no/such/file\"");
    assert!(line.starts_with("redis.password_file: cannot read"), "{line}");
}

#[test]
fn ca_file_contains_certificates_and_needs_tls() {
    let pem = TempFile::new("ca.pem", "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n");
    let ca_file = format!("ca_file = {:?}", pem.path());
    assert!(config_from(&format!("[redis]\nurl = \"rediss://host\"\n{ca_file}")).is_ok());
    assert!(config_from(&format!("[redis]\n{ca_file}")).is_ok());
    let line = refused(&format!("url = \"redis://host\"\n{ca_file}"));
    assert!(line.contains("redis.url does not use TLS"), "{line}");
    let line = refused("url = \"rediss://host\"\nca_file = \"no/such/file\"");
    assert!(line.starts_with("redis.ca_file: cannot read \"no/such/file\": No such file"), "{line}");
    let key = TempFile::new("key.pem", "-----BEGIN PRIVATE KEY-----\n");
    let line = refused(&format!("url = \"rediss://host\"\nca_file = {:?}", key.path()));
    assert!(line.contains("contains no certificate (PEM)"), "{line}");
}

#[test]
fn key_prefix_takes_letters_digits_and_a_few_signs() {
    let longest = "a".repeat(64);
    for prefix in ["switchboard", "a", "Team-1:switch_board", &longest] {
        assert!(config_from(&format!("[redis]\nkey_prefix = \"{prefix}\"")).is_ok(), "{prefix}");
    }
    for prefix in ["", "a b", "a*", "{a}", "ä", &"a".repeat(65)] {
        assert_eq!(
            refused(&format!("key_prefix = \"{prefix}\"")),
            "redis.key_prefix: must have 1 to 64 letters, digits, `:`, `_` and `-` (x.toml, line 2)"
        );
    }
}

#[test]
fn an_unencrypted_connection_to_another_machine_is_warned_about() {
    let warnings = |url: &str| config_from(&format!("[redis]\nurl = \"{url}\"")).unwrap().warnings();
    for url in ["redis://127.0.0.1:6379", "redis://localhost", "redis://[::1]", "rediss://cache.internal", ""]
    {
        assert_eq!(warnings(url), [""; 0], "{url}");
    }
    let said = warnings("redis://cache.internal");
    assert!(matches!(said.as_slice(), [line] if line.starts_with("redis.url is without TLS")), "{said:?}");
}
