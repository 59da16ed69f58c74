//! Warm servers: comparison of their responses, then hot and unique rounds, and memory afterwards.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::http::Connection;
use crate::job;
use crate::lane::Lane;
use crate::load::{self, Question};
use crate::plan::{ASIDE, LONG, Plan};
use crate::process::Process;
use crate::sandbox::Sandbox;
use crate::servers::{Kind, Site};

/// Switchboard's responses, which the other servers must match.
pub(crate) struct Right {
    pub(crate) hot: Value,
    unique: Vec<Value>,
    /// The size of the hot response in bytes.
    pub(crate) length: usize,
}

/// Compares responses, then runs hot and unique rounds and measures memory.
pub(crate) async fn steady(
    site: &Site,
    plan: &Plan,
    sandbox: &Sandbox,
    lanes: &mut [Lane],
) -> anyhow::Result<Right> {
    let mut right: Option<Right> = None;
    let mut running: Vec<(&mut Lane, Process, Cell<usize>)> = Vec::new();
    for lane in lanes.iter_mut().filter(|lane| lane.contender.kind != Kind::Expecting) {
        println!("starting {}", lane.contender.name);
        let server = lane.start(site, sandbox, LONG).await?;
        lane.row.idle = Some(server.memory()?);
        match &right {
            None => right = Some(reference(site, &server).await?),
            Some(right) => lane.row.excluded = disagreement(right, &server, lane.contender.kind).await?,
        }
        match &lane.row.excluded {
            Some(how) => println!("  its responses differ, so it is not measured: {how}"),
            None => running.push((lane, server, Cell::new(0))),
        }
    }
    let right = right.context("Switchboard is the first")?;

    println!("warming up");
    for (lane, server, next) in &mut running {
        let asked = both(server, next, &right, plan.warm).await;
        asked.with_context(|| format!("{} while warming up", lane.contender.name))?;
    }
    for number in 1..=plan.rounds {
        println!("round {number} of {}", plan.rounds);
        for (lane, server, next) in &mut running {
            let asked = both(server, next, &right, plan.round).await;
            let (hot, unique) =
                asked.with_context(|| format!("{} in round {number}", lane.contender.name))?;
            lane.row.hot.push(hot);
            lane.row.unique.push(unique);
        }
    }
    for (lane, server, _) in running {
        lane.row.memory = Some(server.memory()?);
        server.stop().await?;
    }
    Ok(right)
}

/// The hot round and the unique round.
type Rounds = (load::Round, load::Round);

/// A hot round and a unique round.
pub(crate) async fn both(
    server: &Process,
    next: &Cell<usize>,
    right: &Right,
    time: Duration,
) -> anyhow::Result<Rounds> {
    let hot = load::round(server, Question::Hot { length: right.length }, time).await?;
    let unique = load::round(server, Question::Unique { next }, time).await?;
    Ok((hot, unique))
}

/// Switchboard's responses as reference. [`Kind::Bare`] serves the hot one and the last unique one.
async fn reference(site: &Site, server: &Process) -> anyhow::Result<Right> {
    let mut connection = Connection::open(server.address).await?;
    let (body, _) = load::ask(&mut connection, server, &job::hot()).await?;
    std::fs::write(site.hot_bytes(), &body)?;
    let hot = job::data(&body).map_err(anyhow::Error::msg)?;
    let ids = job::account_ids(&hot);
    ensure!(
        ids.len() == 20 && ids.iter().all(|ids| ids.len() == 10),
        "Switchboard's hot answer is not 20 × 10 accounts"
    );
    let mut unique = Vec::new();
    for number in ASIDE..ASIDE + 3 {
        let (body, _) = load::ask(&mut connection, server, &job::unique(number)).await?;
        let data = job::data(&body).map_err(anyhow::Error::msg)?;
        let rows = data["connectedAccounts"]["nodes"].as_array().map_or(0, Vec::len);
        ensure!(rows == 20, "Switchboard's unique answer has {rows} accounts and not 20");
        std::fs::write(site.unique_bytes(), &body)?;
        unique.push(data);
    }
    Ok(Right { hot, unique, length: body.len() })
}

/// The first difference between a server's responses and Switchboard's.
async fn disagreement(right: &Right, server: &Process, kind: Kind) -> anyhow::Result<Option<String>> {
    let mut connection = Connection::open(server.address).await?;
    let mut questions = vec![(job::hot(), &right.hot)];
    if kind != Kind::Bare {
        questions.extend((ASIDE..).map(job::unique).zip(&right.unique));
    }
    for (question, right) in questions {
        let (body, _) = load::ask(&mut connection, server, &question).await?;
        let difference = match job::data(&body) {
            Ok(data) => job::difference(right, &data),
            Err(wrong) => Some(wrong),
        };
        if difference.is_some() {
            return Ok(difference);
        }
    }
    Ok(None)
}
