//! Misspelt environment variables: `SWITCHBOARD_HTTP_LISTEN` instead of `SWITCHBOARD__HTTP__LISTEN`.
//!
//! If such a variable were ignored, the default would stay in force unnoticed. But clients, tests and platforms have
//! other variables with the same prefix, so a variable is only refused if its name without underscores is similar to a
//! setting's, or if it is several words that end the name of exactly one setting.

use std::ffi::OsStr;

use super::schema::{SettingsSchema, variable};

/// Variables for clients and tests of this program, which may be in the same environment.
const OTHERS: [&str; 3] = ["SWITCHBOARD_BIN", "SWITCHBOARD_TOKEN", "SWITCHBOARD_URL"];

/// Minimum similarity of a misspelt name to the name of a setting.
const SIMILARITY_MIN: f64 = 0.85;

/// Returns an error message if `name`, a variable that sets no setting, is probably a misspelling of a setting's
/// variable.
pub(super) fn misspelling(schema: &SettingsSchema, name: &str, value: &OsStr) -> Option<String> {
    let written = name.strip_prefix("SWITCHBOARD_")?;
    if OTHERS.contains(&name) || is_of_kubernetes(written, value) {
        return None;
    }
    let setting = closest_name(schema, written)?;
    Some(match schema.list(setting) {
        Some(_) => {
            format!("this variable is not read: {setting} is a list of sections, which only a file can set")
        }
        None => format!("this variable is not read: the variable of {setting} is {}", variable(setting)),
    })
}

/// Returns the setting or list that a misspelt name means, by the two rules in the module's documentation.
fn closest_name<'s>(schema: &'s SettingsSchema, written: &str) -> Option<&'s str> {
    let normalized = |name: &str| name.replace(['_', '.'], "").to_lowercase();
    let normalized_name = normalized(written);
    let names = || schema.iter().map(|setting| &*setting.name).chain(schema.lists().map(|list| &*list.name));
    let similarity = |name: &str| strsim::normalized_damerau_levenshtein(&normalized_name, &normalized(name));
    let nearest = names().map(|name| (similarity(name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((_, name)) = nearest.filter(|(score, _)| *score >= SIMILARITY_MIN) {
        return Some(name);
    }
    // Several words that end the name of exactly one setting, as in `SWITCHBOARD_LEADLEX_API_KEY`.
    let mut ending =
        names().filter(|name| written.contains('_') && normalized(name).ends_with(&normalized_name));
    ending.next().filter(|_| ending.next().is_none())
}

/// Whether Kubernetes sets this variable for a Service whose name begins with `switchboard`.
fn is_of_kubernetes(written: &str, value: &OsStr) -> bool {
    let is_url = value.to_str().is_some_and(|value| value.contains("://"));
    written.ends_with("SERVICE_HOST")
        || written.contains("SERVICE_PORT")
        || ["_TCP", "_UDP", "_SCTP"]
            .iter()
            .any(|protocol| format!("{written}_").contains(&format!("{protocol}_")))
        || (written == "PORT" || written.ends_with("_PORT")) && is_url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, value: &str) -> Option<String> {
        misspelling(&SettingsSchema::built_in().unwrap(), name, OsStr::new(value))
    }

    #[test]
    fn a_variable_that_spells_a_setting_differently_is_refused_with_the_right_spelling() {
        for (name, setting) in [
            ("SWITCHBOARD_HTTP_LISTEN", "http.listen is SWITCHBOARD__HTTP__LISTEN"),
            ("SWITCHBOARD_HTTP__LISTEN", "http.listen is SWITCHBOARD__HTTP__LISTEN"),
            ("SWITCHBOARD_HTTP_LISTN", "http.listen is SWITCHBOARD__HTTP__LISTEN"),
            ("SWITCHBOARD_HTTPLISTEN", "http.listen is SWITCHBOARD__HTTP__LISTEN"),
            (
                "SWITCHBOARD_UPSTREAM_LEADLEX_API_KEY",
                "upstream.leadlex.api_key is SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY",
            ),
            (
                "SWITCHBOARD_LEADLEX_API_KEY",
                "upstream.leadlex.api_key is SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY",
            ),
            ("SWITCHBOARD_REDIS_URL", "redis.url is SWITCHBOARD__REDIS__URL"),
            ("SWITCHBOARD_AUTH_TOKENS", "auth.tokens is a list of sections, which only a file can set"),
        ] {
            let message = message(name, "canary").unwrap_or_else(|| panic!("{name} is ignored"));
            assert!(message.ends_with(setting) && !message.contains("canary"), "{name}: {message}");
        }
    }

    #[test]
    fn variables_of_clients_and_platforms_are_ignored() {
        for (name, value) in [
            ("SWITCHBOARD_BIN", "/usr/bin/switchboard"),
            ("SWITCHBOARD_TOKEN", "sb_x"),
            ("SWITCHBOARD_URL", "http://127.0.0.1:8080"),
            ("SWITCHBOARD_API_KEY", "x"),
            ("SWITCHBOARD_HOME", "/srv"),
            ("SWITCHBOARD_BLESS", "1"),
            ("SWITCHBOARD_FUZZ_CASES", "20000"),
            ("SWITCHBOARD_VERSION", "1"),
            ("SWITCHBOARD", "x"),
            ("SWITCHBOARDS_HTTP_LISTEN", "x"),
            ("SWITCHBOARD_SERVICE_HOST", "10.0.0.1"),
            ("SWITCHBOARD_SERVICE_PORT", "8080"),
            ("SWITCHBOARD_SERVICE_PORT_HTTP", "8080"),
            ("SWITCHBOARD_PORT", "tcp://10.0.0.1:8080"),
            ("SWITCHBOARD_PORT", "8080"),
            ("SWITCHBOARD_HTTP_PORT", "8080"),
            ("SWITCHBOARD_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("SWITCHBOARD_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("SWITCHBOARD_REDIS_SERVICE_HOST", "10.0.0.2"),
            ("SWITCHBOARD_REDIS_PORT_6379_TCP_PROTO", "tcp"),
        ] {
            assert_eq!(message(name, value), None, "{name}");
        }
    }
}
