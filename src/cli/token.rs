//! `switchboard token new`: a token for a caller, and what the configuration holds of it.

use std::io;

use anyhow::Context as _;
use toml::Value;

use super::{Failure, print};
use crate::domain::role::MemberId;
use crate::http::caller::tokens::NewToken;

#[derive(clap::Subcommand, Debug)]
pub(super) enum Command {
    /// Makes a token for `auth.mode = "tokens"`, and prints it and its configuration.
    New(Arguments),
}

/// What `token new` takes.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// What its bearer is called.
    #[arg(long, value_name = "NAME", default_value = "frontend")]
    name: String,
    /// Whose data it is about: a name of `[[tenants]]`.
    #[arg(long, value_name = "TENANT", default_value = "default")]
    tenant: String,
    /// Makes it a member's, who sees this end user's accounts alone; an admin's without it.
    #[arg(long, value_name = "ID", value_parser = member)]
    user_id: Option<MemberId>,
}

fn member(text: &str) -> Result<MemberId, String> {
    MemberId::new(text).map_err(|why| why.to_string())
}

pub(super) fn run(Command::New(arguments): Command) -> Result<(), Failure> {
    let token = NewToken::random().context("this machine gives no randomness")?;
    print(&written(&arguments, &token)).map_err(io::Error::into)
}

fn written(arguments: &Arguments, token: &NewToken) -> String {
    let Arguments { name, tenant, user_id } = arguments;
    let quoted = |text: &str| Value::from(text).to_string();
    let whose = match user_id {
        Some(id) => format!("role = \"member\"\nuser_id = {}", quoted(id.as_str())),
        None => "role = \"admin\"".to_owned(),
    };
    // The first lines are no TOML: who pastes all of it is told so, and does not keep the token beside its hash.
    format!(
        "The token, for its bearer alone. It is kept nowhere and cannot be shown again:\n\
         {}\n\
         \n\
         Its entry in the configuration:\n\
         [[auth.tokens]]\n\
         name = {}\n\
         sha256 = \"{}\"\n\
         tenant = {}\n\
         {whose}\n",
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
        written(&line.arguments, &NewToken::random().unwrap())
    }

    #[test]
    fn what_it_prints_is_an_entry_whatever_the_names_are() {
        let text = printed(&["--name", "a\"b", "--tenant", "acme", "--user-id", "x\\y@example.com"]);
        assert!(toml::from_str::<toml::Table>(&text).is_err(), "the token is not to be kept: {text}");
        let (_, entry) = text.split_once("configuration:\n").unwrap();
        let entry = &toml::from_str::<toml::Table>(entry).unwrap()["auth"]["tokens"][0];
        let get = |key: &str| entry[key].as_str().unwrap();
        assert_eq!((get("name"), get("tenant"), get("role")), ("a\"b", "acme", "member"));
        assert_eq!((get("user_id"), get("sha256").len()), ("x\\y@example.com", 64));
        assert!(printed(&[]).contains("role = \"admin\"\n"));
        assert!(Line::try_parse_from(["new", "--user-id", "a,b"]).is_err());
    }
}
