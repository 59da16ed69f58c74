//! `switchboard token new`: creates a token for a caller, and its entry for the configuration.

use std::io;

use anyhow::Context as _;
use toml::Value;

use super::output::{Failure, print};
use crate::domain::role::MemberId;
use crate::http::caller::tokens::NewToken;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Creates a token for `auth.mode = "tokens"`, and prints it and its entry for the configuration.
    New(Arguments),
}

/// Arguments of `token new`.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Name of the caller.
    #[arg(long, value_name = "NAME", default_value = "frontend")]
    name: String,
    /// Tenant of the caller: a name of `[[tenants]]`, or `default`.
    #[arg(long, value_name = "TENANT", default_value = "default")]
    tenant: String,
    /// Makes the caller a member, who sees only the accounts of this end user; without it, an admin.
    #[arg(long, value_name = "ID", value_parser = member)]
    user_id: Option<MemberId>,
}

fn member(text: &str) -> Result<MemberId, String> {
    MemberId::new(text).map_err(|why| why.to_string())
}

pub(super) fn run(Command::New(arguments): Command) -> Result<(), Failure> {
    let token = NewToken::random().context("cannot read random bytes from the system")?;
    print(&output(&arguments, &token)).map_err(io::Error::into)
}

fn output(arguments: &Arguments, token: &NewToken) -> String {
    let Arguments { name, tenant, user_id } = arguments;
    let quoted = |text: &str| Value::from(text).to_string();
    let role = match user_id {
        Some(id) => format!("role = \"member\"\nuser_id = {}", quoted(id.as_str())),
        None => "role = \"admin\"".to_owned(),
    };
    // The first lines are not TOML: if someone pastes the whole output into the configuration, loading it fails, and
    // the token is not stored beside its hash.
    format!(
        "The token, for the caller alone. It is not stored and cannot be shown again:\n\
         {}\n\
         \n\
         Its entry in the configuration:\n\
         [[auth.tokens]]\n\
         name = {}\n\
         sha256 = \"{}\"\n\
         tenant = {}\n\
         {role}\n",
        token.text,
        quoted(name),
        token.sha256,
        quoted(tenant),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn printed(arguments: &[&str]) -> String {
        let line = Line::try_parse_from([&["new"], arguments].concat()).unwrap();
        output(&line.arguments, &NewToken::random().unwrap())
    }

    #[test]
    fn the_output_is_a_valid_entry_for_any_names() {
        let text = printed(&["--name", "a\"b", "--tenant", "acme", "--user-id", "x\\y@example.com"]);
        assert!(toml::from_str::<toml::Table>(&text).is_err(), "the token must not be valid TOML: {text}");
        let (_, entry) = text.split_once("configuration:\n").unwrap();
        let entry = &toml::from_str::<toml::Table>(entry).unwrap()["auth"]["tokens"][0];
        let get = |key: &str| entry[key].as_str().unwrap();
        assert_eq!((get("name"), get("tenant"), get("role")), ("a\"b", "acme", "member"));
        assert_eq!((get("user_id"), get("sha256").len()), ("x\\y@example.com", 64));
        assert!(printed(&[]).contains("role = \"admin\"\n"));
        assert!(Line::try_parse_from(["new", "--user-id", "a,b"]).is_err());
    }
}
