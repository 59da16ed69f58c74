//! Empty caches: a single query, a thousand concurrent ones, and one on skewed data.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::http::Connection;
use crate::job;
use crate::lane::Lane;
use crate::load::{self, Question};
use crate::plan::{ASIDE, LONG, Plan};
use crate::sandbox::Sandbox;
use crate::servers::{Keeps, Kind, Site};
use crate::steady::{Right, both};
use crate::table;

/// The shortest lifetime that every cache supports, and a pause after which it has expired.
const SHORT: Keeps = Keeps(1);
const PAUSE: Duration = Duration::from_millis(2_200);

/// Cold caches with latency in front of each upstream.
///
/// A peer is warmed up and queried again after its cache has expired. Switchboard serves stale data while it
/// refreshes, so it is restarted for each sample and gets one unrelated request first. The lower bound, in the row of bare
/// axum, is the time of two requests to the upstreams, one after the other.
pub(crate) async fn cold(
    site: &Site,
    plan: &Plan,
    sandbox: &Sandbox,
    right: &Right,
    toolkits: &HashMap<String, Vec<String>>,
    lanes: &mut [Lane],
) -> anyhow::Result<()> {
    println!("cold: starting");
    let toolkits = of_ten_providers(toolkits);
    let (mut bare, mut running) = (None, Vec::new());
    for lane in lanes.iter_mut().filter(|lane| lane.timed()) {
        let server = match lane.contender.kind {
            Kind::Bare => {
                bare = Some(lane);
                continue;
            }
            Kind::Switchboard | Kind::Expecting => None,
            _ => {
                let server = lane.start(site, sandbox, SHORT).await?;
                both(&server, &Cell::new(ASIDE), right, plan.warm / 2).await?;
                Some((Connection::open(server.address).await?, server))
            }
        };
        running.push((lane, server));
    }
    for number in 1..=plan.cold_samples {
        println!("cold: {number} of {}", plan.cold_samples);
        tokio::time::sleep(PAUSE).await;
        if let Some(bare) = &mut bare {
            bare.row.cold.push(sandbox.two_requests(&toolkits).await?);
        }
        for (lane, server) in &mut running {
            let name = lane.contender.name.clone();
            let (answer, took) = match server {
                Some((connection, server)) => {
                    sandbox.forget_calls().await?;
                    load::ask(connection, server, &job::hot()).await?
                }
                None => {
                    let server = lane.start(site, sandbox, LONG).await?;
                    let mut connection = Connection::open(server.address).await?;
                    load::ask(&mut connection, &server, &job::unique(ASIDE)).await?;
                    sandbox.forget_calls().await?;
                    let asked = load::ask(&mut connection, &server, &job::hot()).await?;
                    server.stop().await?;
                    asked
                }
            };
            lane.row.cold.push(took);
            lane.row.cold_calls = Some(sandbox.calls().await?);
            let answer =
                job::data(&answer).map_err(anyhow::Error::msg).with_context(|| format!("{name}, cold"))?;
            if let Some(difference) = job::difference(&right.hot, &answer) {
                bail!("{name} answers differently when cold: {difference}");
            }
        }
    }
    for (_, server) in running {
        if let Some((_, server)) = server {
            server.stop().await?;
        }
    }
    Ok(())
}

/// The toolkits of ten providers: the peers read the accounts of twenty in two calls at once.
fn of_ten_providers(toolkits: &HashMap<String, Vec<String>>) -> String {
    let mut providers: Vec<_> = toolkits.iter().collect();
    providers.sort();
    let slugs: Vec<_> =
        providers.into_iter().take(10).flat_map(|(_, slugs)| slugs).map(String::as_str).collect();
    slugs.join(",")
}

/// The hot query on many concurrent connections, with cold caches.
pub(crate) async fn stampedes(
    site: &Site,
    plan: &Plan,
    sandbox: &Sandbox,
    right: &Right,
    lanes: &mut [Lane],
) -> anyhow::Result<()> {
    for lane in lanes.iter_mut().filter(|lane| lane.timed()) {
        if matches!(lane.contender.kind, Kind::Bare | Kind::Expecting) {
            continue;
        }
        println!("{} at once: {}", plan.stampede, lane.contender.name);
        let server = lane.start(site, sandbox, LONG).await?;
        load::round(&server, Question::Unique { next: &Cell::new(0) }, plan.warm / 2).await?;
        sandbox.forget_calls().await?;
        let took = load::stampede(&server, plan.stampede, right.length).await;
        let took = took.map_err(|error| format!("{error:#}"));
        lane.row.stampede = Some((sandbox.calls().await?, took));
        server.stop().await?;
    }
    Ok(())
}

/// The hot query with the newest 3,000 accounts all in one toolkit.
pub(crate) async fn skewed(
    site: &Site,
    sandbox: &Sandbox,
    toolkits: &HashMap<String, Vec<String>>,
    lanes: &mut [Lane],
) -> anyhow::Result<()> {
    let right = sandbox.account_ids(toolkits).await?;
    ensure!(right.len() == 20 && right.iter().all(|ids| ids.len() == 10), "the sandbox's data has changed");
    for lane in lanes.iter_mut().filter(|lane| lane.timed()) {
        if matches!(lane.contender.kind, Kind::Bare | Kind::Expecting) {
            continue;
        }
        println!("skewed data: {}", lane.contender.name);
        let server = lane.start(site, sandbox, LONG).await?;
        sandbox.forget_calls().await?;
        let mut connection = Connection::open(server.address).await?;
        let (answer, _) = load::ask(&mut connection, &server, &job::hot()).await?;
        let calls = sandbox.calls().await?;
        lane.row.skewed = Some(job::data(&answer).map(|data| {
            let ids = job::account_ids(&data);
            let wrong = right.iter().enumerate().filter(|(at, right)| ids.get(*at) != Some(*right)).count();
            let empty = ids.iter().filter(|ids| ids.is_empty()).count();
            table::Skewed { wrong, empty, calls }
        }));
        server.stop().await?;
    }
    Ok(())
}
