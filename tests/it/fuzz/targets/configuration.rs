//! Configuration text: it is accepted or all its problems are listed, and no secret is printed in either
//! case.

use std::ffi::OsString;
use std::fs;

use switchboard::config::{ApiKeys, Config, ConfigSources};

/// The placeholder for every key in the seeds.
const SECRET: &str = "k3ep-m3-qu1et";

/// The file and, after a line `---`, variables as `NAME=value`.
pub(super) fn configuration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (file, variables) = text.split_once("\n---\n").unwrap_or((&text, ""));
    let variable = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((OsString::from(format!("SWITCHBOARD__{name}")), OsString::from(value)))
    };
    let variables = variables.lines().filter_map(variable).collect();
    let thread = std::thread::current().id();
    let path = std::env::temp_dir().join(format!("switchboard-fuzz-{}-{thread:?}.toml", std::process::id()));
    fs::write(&path, file).unwrap();
    let loaded = Config::load(ConfigSources {
        file: Some(path.clone()),
        variables,
        keys: ApiKeys::Optional,
        ..ConfigSources::default()
    });
    fs::remove_file(&path).unwrap();
    match loaded {
        Ok(config) => assert!(!format!("{config:?}").contains(SECRET), "a secret is printed"),
        Err(errors) => assert!(!errors.to_string().trim().is_empty()),
    }
}
