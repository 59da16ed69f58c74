//! The measured servers, and how each is started.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::job;
use crate::process::{Process, Program, SERVER_CORE, free_address};
use crate::sandbox::{COMPOSIO_KEY, LEADLEX_KEY, Sandbox};

/// The kind of a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Switchboard.
    Switchboard,
    /// Switchboard with `toolkits.expected`, so that it calls both upstreams concurrently.
    Expecting,
    /// A server of fixed bytes, after one upstream call for a unique request.
    Bare,
    /// async-graphql with DataLoader, without a cache.
    Plain,
    /// A Node server: a script in `node/`, or the command of Hive Gateway.
    Node(&'static str),
}

/// A server in the table.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// The paths of everything that is used.
pub(crate) struct Site {
    /// The binary under test.
    pub(crate) switchboard: PathBuf,
    /// `benches/peers/node`.
    pub(crate) node: PathBuf,
    /// The directory for logs and generated files.
    pub(crate) work: PathBuf,
}

/// The lifetime of a server's cached data in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Keeps(pub(crate) u64);

impl Site {
    /// All servers, Switchboard first. The versions are those of the lock files.
    pub(crate) fn contenders(&self) -> anyhow::Result<Vec<Contender>> {
        let manifest: Value = serde_json::from_slice(&std::fs::read(self.node.join("package.json"))?)?;
        let version = |package: &str| {
            let version = manifest["dependencies"][package].as_str();
            version.map(str::to_owned).with_context(|| format!("package.json does not name {package}"))
        };
        let one = |name: String, kind| Contender { name, kind };
        Ok(vec![
            one("Switchboard".to_owned(), Kind::Switchboard),
            one("Switchboard, `toolkits.expected` set".to_owned(), Kind::Expecting),
            one("bare axum, the same bytes".to_owned(), Kind::Bare),
            one("async-graphql 8.0.0-rc.5 + DataLoader".to_owned(), Kind::Plain),
            one(
                format!("Hive Gateway {}, response caching", version("@graphql-hive/gateway")?),
                Kind::Node("hive"),
            ),
            one(format!("graphql-yoga {}, response cache", version("graphql-yoga")?), Kind::Node("yoga")),
            one(format!("Mercurius {}, cache + JIT", version("mercurius")?), Kind::Node("mercurius")),
        ])
    }

    /// The hot response that [`Kind::Bare`] serves.
    pub(crate) fn hot_bytes(&self) -> PathBuf {
        self.work.join("hot.json")
    }

    /// The unique response that [`Kind::Bare`] serves.
    pub(crate) fn unique_bytes(&self) -> PathBuf {
        self.work.join("unique.json")
    }

    /// `category/name` → toolkits, for the peers.
    pub(crate) fn toolkits(&self) -> PathBuf {
        self.work.join("toolkits.json")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.work.join(format!("{name}.log"))
    }

    /// Starts a server over `upstreams` and waits until it responds.
    pub(crate) async fn start(
        &self,
        contender: &Contender,
        upstreams: &Sandbox,
        keeps: Keeps,
    ) -> anyhow::Result<Process> {
        let address = free_address()?;
        let program = self.program(contender.kind, address, upstreams, keeps)?;
        let probe = crate::http::post(address, &job::probe());
        let log = self.log(match contender.kind {
            Kind::Switchboard | Kind::Expecting => "switchboard",
            Kind::Bare => "bare",
            Kind::Plain => "plain",
            Kind::Node(name) => name,
        });
        let started = Process::start(&program, SERVER_CORE, address, &probe, &log).await;
        started.with_context(|| format!("{} did not start", contender.name))
    }

    fn program(
        &self,
        kind: Kind,
        at: SocketAddr,
        upstreams: &Sandbox,
        keeps: Keeps,
    ) -> anyhow::Result<Program> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let own = std::env::current_exe()?;
        Ok(match kind {
            Kind::Switchboard | Kind::Expecting => Program {
                path: self.switchboard.clone(),
                arguments: vec![
                    "serve".into(),
                    "--listen".into(),
                    at.to_string(),
                    "--ops-listen".into(),
                    "127.0.0.1:0".into(),
                ],
                environment: switchboards(kind, upstreams, keeps),
            },
            Kind::Bare => Program {
                path: own,
                arguments: vec![
                    "bare".into(),
                    at.to_string(),
                    text(&self.hot_bytes()),
                    text(&self.unique_bytes()),
                ],
                environment: self.peers(at, upstreams, keeps),
            },
            Kind::Plain => Program {
                path: own,
                arguments: vec!["plain".into(), at.to_string()],
                environment: self.peers(at, upstreams, keeps),
            },
            Kind::Node("hive") => Program {
                path: "node".into(),
                arguments: vec![
                    text(&self.node.join("node_modules/@graphql-hive/gateway/dist/bin.js")),
                    "supergraph".into(),
                    text(&self.work.join("supergraph.graphql")),
                    "--config-path".into(),
                    text(&self.node.join("hive/gateway.config.mjs")),
                ],
                environment: self.peers(at, upstreams, keeps),
            },
            Kind::Node(name) => Program {
                path: "node".into(),
                arguments: vec![text(&self.node.join(format!("{name}.mjs")))],
                environment: self.peers(at, upstreams, keeps),
            },
        })
    }

    /// The environment that every peer reads.
    fn peers(&self, at: SocketAddr, upstreams: &Sandbox, Keeps(seconds): Keeps) -> Vec<(String, String)> {
        let settings = [
            ("NODE_ENV", "production".to_owned()),
            ("PORT", at.port().to_string()),
            ("LEADLEX_URL", upstreams.leadlex_url()),
            ("LEADLEX_KEY", LEADLEX_KEY.to_owned()),
            ("COMPOSIO_URL", upstreams.composio_url()),
            ("COMPOSIO_KEY", COMPOSIO_KEY.to_owned()),
            ("CACHE_SECONDS", seconds.to_string()),
            ("TOOLKITS", self.toolkits().to_string_lossy().into_owned()),
        ];
        settings.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }
}

fn switchboards(kind: Kind, upstreams: &Sandbox, Keeps(seconds): Keeps) -> Vec<(String, String)> {
    let ttl = (seconds * 1_000).to_string();
    let mut settings = vec![
        ("UPSTREAM__LEADLEX__BASE_URL", upstreams.leadlex_url()),
        ("UPSTREAM__LEADLEX__API_KEY", LEADLEX_KEY.to_owned()),
        ("UPSTREAM__COMPOSIO__BASE_URL", upstreams.composio_url()),
        ("UPSTREAM__COMPOSIO__API_KEY", COMPOSIO_KEY.to_owned()),
        ("CACHE__PROVIDERS_TTL_MS", ttl.clone()),
        ("CACHE__ACCOUNTS_TTL_MS", ttl),
        // One line per request, written to a file.
        ("LOG__FORMAT", "json".to_owned()),
    ];
    if kind == Kind::Expecting {
        // The sandbox's first 20.
        let expected = "email/gmail, calendar/google, channels/slack, email/microsoft, channels/teams, channels/whatsapp, \
                        channels/telegram, channels/discord, channels/zoom, identity/google, identity/linkedin, \
                        identity/jumpcloud, storage/google_drive, storage/onedrive, storage/dropbox, billing/stripe, \
                        billing/paypal, billing/quickbooks, calendar/calendly, email/mailchimp";
        settings.push(("TOOLKITS__EXPECTED", expected.to_owned()));
    }
    settings.into_iter().map(|(name, value)| (format!("SWITCHBOARD__{name}"), value)).collect()
}
