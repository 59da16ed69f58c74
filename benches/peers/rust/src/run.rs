//! The run: starts every server, compares its responses with Switchboard's, and measures each in turn.
//!
//! Servers share one core and are loaded one at a time, in rounds: Switchboard, the next, …, Switchboard
//! again. If the machine slows down for a while, all servers are affected, and the median ignores it. Idle
//! servers cost nothing. Measuring each server alone from start to end would include such changes of the
//! machine.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::cold;
use crate::lane::Lane;
use crate::plan::{FULL, QUICK};
use crate::sandbox::Sandbox;
use crate::servers::Site;
use crate::steady;
use crate::table::{self, Row};

/// The arguments of `run`. `benches/peers/run` passes all of them.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The Switchboard binary.
    #[arg(long)]
    switchboard: PathBuf,
    /// The directory of the Node peers, installed.
    #[arg(long)]
    node: PathBuf,
    /// A directory for logs, which has Hive's supergraph.
    #[arg(long)]
    work: PathBuf,
    /// Switchboard's mapping of providers to toolkits.
    #[arg(long)]
    toolkits: PathBuf,
    /// The table to write.
    #[arg(long)]
    results: PathBuf,
    /// Switchboard's README, which has the first table between two marks.
    #[arg(long)]
    readme: PathBuf,
    /// The date for the table.
    #[arg(long)]
    date: String,
    /// The commit that is measured.
    #[arg(long)]
    commit: String,
    /// Few and short rounds, to test that everything works. The figures mean nothing.
    #[arg(long)]
    quick: bool,
}

/// One-way latency in milliseconds for the cold rows.
const LATENCY: &str = "50";
/// The marks around the table in README.
const BEGIN: &str = "<!-- make bench-peers writes this -->";
const END: &str = "<!-- until here -->";

/// Runs to the end or until a signal. In both cases every started process ends.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        done = measure(&arguments) => done,
        _ = interrupt.recv() => bail!("stopped"),
        _ = terminate.recv() => bail!("stopped"),
    }
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let site = Site {
        switchboard: arguments.switchboard.clone(),
        node: arguments.node.clone(),
        work: arguments.work.clone(),
    };
    let plan = if arguments.quick { QUICK } else { FULL };
    let toolkits = toolkits(&arguments.toolkits)?;
    std::fs::write(site.toolkits(), serde_json::to_vec(&toolkits)?)?;
    let mut lanes = Vec::new();
    for contender in site.contenders()? {
        lanes.push(Lane { row: Row::new(&contender), contender });
    }

    let sandbox = Sandbox::start(&site.switchboard, &site.log("sandbox"), &[]).await?;
    let right = steady::steady(&site, &plan, &sandbox, &mut lanes).await?;
    sandbox.stop().await?;

    let sandbox = Sandbox::start(&site.switchboard, &site.log("sandbox"), &["--latency-ms", LATENCY]).await?;
    cold::cold(&site, &plan, &sandbox, &right, &toolkits, &mut lanes).await?;
    cold::stampedes(&site, &plan, &sandbox, &right, &mut lanes).await?;
    sandbox.stop().await?;

    let sandbox = Sandbox::start(&site.switchboard, &site.log("sandbox"), &["--skew"]).await?;
    cold::skewed(&site, &sandbox, &toolkits, &mut lanes).await?;
    sandbox.stop().await?;

    let rows: Vec<Row> = lanes.into_iter().map(|lane| lane.row).collect();
    let run = format!("{}, commit {}", arguments.date, arguments.commit);
    let text = table::write(&rows, &plan, &run, arguments.quick)?;
    std::fs::write(&arguments.results, &text)?;
    if !arguments.quick {
        show(&arguments.readme, &table::summary(&rows, &plan, &run)?)?;
    }
    println!("\n{text}\nWritten to {}", arguments.results.display());
    Ok(())
}

/// Writes `summary` between the marks in README.
fn show(readme: &Path, summary: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(readme)?;
    let marks = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marks.context("README has lost the marks of the benchmark's table")?;
    Ok(std::fs::write(readme, format!("{before}{BEGIN}\n{summary}{END}{after}"))?)
}

/// Switchboard's own file as `category/name` → toolkits.
fn toolkits(file: &Path) -> anyhow::Result<HashMap<String, Vec<String>>> {
    #[derive(Deserialize)]
    struct Mapping {
        provider: Vec<Provider>,
    }
    #[derive(Deserialize)]
    struct Provider {
        category: String,
        name: String,
        toolkits: Vec<String>,
    }
    let mapping: Mapping = toml::from_str(&std::fs::read_to_string(file)?)?;
    let entries = mapping.provider.into_iter();
    Ok(entries.map(|one| (format!("{}/{}", one.category, one.name), one.toolkits)).collect())
}
