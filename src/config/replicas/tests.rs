use secrecy::ExposeSecret as _;

use super::super::tests::{CANARY, Scratch, file, refusal};

fn refused(settings: &str) -> String {
    refusal(&format!("[redis]\n{settings}\n"))
}

#[test]
fn a_server_is_named_by_host_port_and_database_and_nothing_else() {
    for url in [
        "redis://127.0.0.1",
        "redis://cache.internal:6380/3",
        "rediss://[2001:db8::1]:6379/",
        "redis://localhost/",
    ] {
        assert_eq!(file(&format!("[redis]\nurl = \"{url}\"")).unwrap().redis.url, url);
    }
    for (url, why) in [
        ("canary:6379", "has no scheme: begin it with redis://"),
        ("http://canary", "its scheme is neither redis nor rediss"),
        ("redis+unix:///canary", "its scheme is neither redis nor rediss"),
        ("redis://canary@host", "holds a user name or password: those have settings"),
        ("redis://:canary@host", "holds a user name or password: those have settings"),
        ("redis://host?password=canary", "holds a query or a fragment"),
        ("rediss://host#insecure", "holds a query or a fragment"),
        ("redis:///1", "names no host"),
        ("redis://0.0.0.0", "names no host"),
        ("redis://host/canary", "ends with something else than the number of a database"),
        ("redis://host/1/canary", "ends with something else than the number of a database"),
        ("redis://host:canary", "is no URL: invalid port number"),
    ] {
        let line = refused(&format!("url = \"{url}\""));
        assert!(line.starts_with("redis.url: ") && line.contains(why), "{line}");
        assert!(!line.contains("canary") && line.ends_with("(x.toml, line 2)"), "{line}");
    }
}

#[test]
fn the_password_comes_from_a_file_and_a_user_needs_one() {
    let password = Scratch::new("password", &format!("{CANARY}\n"));
    let config = file(&format!("[redis]\nusername = \"me\"\npassword_file = {:?}", password.path())).unwrap();
    assert_eq!(config.redis.password.expose_secret(), CANARY);
    assert!(!config.redacted().contains(CANARY) && !format!("{:?}", config.redis).contains(CANARY));
    assert_eq!(
        refused("username = \"me\""),
        "redis.username: set without redis.password: give both (x.toml, line 2)"
    );
    let line = refused("username = \"me\"\npassword_file = \"no/such/file\"");
    assert!(line.starts_with("redis.password_file: cannot read"), "{line}");
}

#[test]
fn certificates_are_there_and_of_use() {
    let pem = Scratch::new("ca.pem", "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n");
    let ca_file = format!("ca_file = {:?}", pem.path());
    assert!(file(&format!("[redis]\nurl = \"rediss://host\"\n{ca_file}")).is_ok());
    assert!(file(&format!("[redis]\n{ca_file}")).is_ok());
    let line = refused(&format!("url = \"redis://host\"\n{ca_file}"));
    assert!(line.contains("set beside a redis.url without TLS"), "{line}");
    let line = refused("url = \"rediss://host\"\nca_file = \"no/such/file\"");
    assert!(line.starts_with("redis.ca_file: cannot read \"no/such/file\": No such file"), "{line}");
    let key = Scratch::new("key.pem", "-----BEGIN PRIVATE KEY-----\n");
    let line = refused(&format!("url = \"rediss://host\"\nca_file = {:?}", key.path()));
    assert!(line.contains("holds no certificate (PEM)"), "{line}");
}

#[test]
fn the_prefix_of_keys_is_a_word() {
    let longest = "a".repeat(64);
    for prefix in ["switchboard", "a", "Team-1:switch_board", &longest] {
        assert!(file(&format!("[redis]\nkey_prefix = \"{prefix}\"")).is_ok(), "{prefix}");
    }
    for prefix in ["", "a b", "a*", "{a}", "ä", &"a".repeat(65)] {
        assert_eq!(
            refused(&format!("key_prefix = \"{prefix}\"")),
            "redis.key_prefix: takes 1 to 64 letters, digits, `:`, `_` and `-` (x.toml, line 2)"
        );
    }
}

#[test]
fn what_goes_to_another_machine_in_clear_is_warned_of() {
    let warnings = |url: &str| file(&format!("[redis]\nurl = \"{url}\"")).unwrap().warnings();
    for url in ["redis://127.0.0.1:6379", "redis://localhost", "redis://[::1]", "rediss://cache.internal", ""]
    {
        assert_eq!(warnings(url), [""; 0], "{url}");
    }
    let said = warnings("redis://cache.internal");
    assert!(matches!(said.as_slice(), [line] if line.starts_with("redis.url is without TLS")), "{said:?}");
}
