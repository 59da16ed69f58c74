//! The fault matrix as a documentation page.

use std::fmt::Write as _;

use switchboard::domain::upstream_name::UpstreamName::{Composio, Leadlex};

use super::Cell;
use super::cell::{AffectedUpstreams, CacheState, Half, Query, upstream_index};
use super::fault::Fault;

const HEAD: &str = "\
# Effect of upstream faults on responses

Each fault at LeadLex, at Composio and at both, over a cache in four states. A test writes this page
(`faults::fault_matrix_matches_the_rules_and_the_page`). It runs five queries in each cell and compares every response
with rules. `SWITCHBOARD_BLESS=1 cargo test --test it faults` rewrites the page.

- **cold**: nothing is cached. **fresh**: cached and fresh. **stale**: past its fresh time, so it is served at once
  with the mark `STALE` and refreshed in the background. The table shows the response after that refresh. **old**:
  past its stale time, so it is served only if the refresh fails.
- The queries: `providers`; `accounts` (`connectedAccounts`); `joined` (providers with the accounts of each); `node` (an
  account); `nodes` (a provider and two accounts). If some queries differ from the others, the cell names them.
- A cell shows the data of the affected upstream, the error code if there is one, and the number of calls. The other
  upstream's data is complete in every cell, except accounts below providers that are missing.
- After a 401 or 403, no cached data that was read with this key is served, however fresh it is. In *fresh* no call is
  made, so the refusal is unknown. After a 401 the key, after another 4xx the same request, is not sent again for 5
  seconds.
- The settings are the defaults: two retries, 10 seconds per call, 15 per fetch, 30 per operation.
- In every cell the status is 200, the response arrives in time, and each cause is one error. The body, the headers
  and the log have no key, no URL and no text of an upstream.

| fault | at | cold | fresh | stale | old |
|---|---|---|---|---|---|
";

/// The complete page.
pub(super) fn page(cells: &[Cell]) -> String {
    let mut page = HEAD.to_owned();
    for fault in Fault::ALL {
        for affected in AffectedUpstreams::ALL {
            let concerned = [Leadlex, Composio].into_iter().filter(|upstream| affected.holds(*upstream));
            if !concerned.clone().any(|upstream| fault.applies_to(upstream)) {
                continue;
            }
            let row = CacheState::ALL.map(|cache_state| entry(cells, fault, affected, cache_state));
            writeln!(page, "| {} | {} | {} |", fault.name(), affected.name(), row.join(" | ")).unwrap();
        }
    }
    page
}

/// One table entry: the results at the affected upstreams, with the queries where results differ.
fn entry(cells: &[Cell], fault: Fault, affected: AffectedUpstreams, cache_state: CacheState) -> String {
    let mut outcomes: Vec<(String, Vec<String>)> = Vec::new();
    for query in Query::ALL {
        let is_here =
            |cell: &&Cell| (cell.0, cell.1, cell.2, cell.3) == (fault, affected, cache_state, query);
        let (.., seen) = cells.iter().find(is_here).unwrap();
        let halves: Vec<(_, &Half)> = [Leadlex, Composio]
            .into_iter()
            .filter(|upstream| affected.holds(*upstream) && query.asks(*upstream))
            .map(|upstream| (upstream, &seen[upstream_index(upstream)]))
            .collect();
        let is_one = halves.windows(2).all(|pair| pair[0].1 == pair[1].1);
        for (upstream, half) in halves.iter().take(if is_one { 1 } else { 2 }) {
            let name = match upstream {
                _ if is_one => query.name().to_owned(),
                Leadlex => format!("{} (providers)", query.name()),
                Composio => format!("{} (accounts)", query.name()),
            };
            match outcomes.iter_mut().find(|(outcome, _)| *outcome == half.to_string()) {
                Some((_, names)) => names.push(name),
                None => outcomes.push((half.to_string(), vec![name])),
            }
        }
    }
    // A stable sort keeps the first of equally frequent results. The most frequent result needs no query
    // names.
    outcomes.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    let cells = outcomes.iter().enumerate().map(|(upstream_index, (outcome, names))| match upstream_index {
        0 => outcome.clone(),
        _ => format!("{}: {outcome}", names.join(", ")),
    });
    cells.collect::<Vec<_>>().join("<br>")
}
