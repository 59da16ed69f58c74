//! The matrix as a page of the documentation.

use std::fmt::Write as _;

use switchboard::domain::upstream_name::UpstreamName::{Composio, Leadlex};

use super::Cell;
use super::cell::{Half, Kept, Query, Struck, place};
use super::fault::Fault;

const HEAD: &str = "\
# What a fault does to an answer

Each fault at LeadLex, at Composio, and at both, over a cache in four states. This page is written by a test
(`faults::whatever_an_upstream_does_the_page_is_as_the_rules_say`), which asks five queries in each cell and holds every answer against rules.
`SWITCHBOARD_BLESS=1 cargo test --test it faults` writes it anew.

- **cold**: nothing is kept. **fresh**: kept, and in its time. **stale**: past its time, so that it is served at once, marked
  `STALE`, and read again behind the answer; shown is what comes after that. **old**: past that too, and served only where reading fails.
- The queries: `providers`; `accounts` (`connectedAccounts`); `joined` (providers with the accounts of each); `node` (an account);
  `nodes` (a provider and two accounts). Where some differ from most, a cell names them.
- A cell says what becomes of the data of the upstream that the fault befell, the error's code where there is one, and how many calls were made.
  Data of the other upstream is whole in every cell, but for the accounts below providers that are not there.
- Once a call has met 401 or 403 (in *fresh* none is made) nothing is shown that is kept, however fresh: the key opened it, and whoever holds one
  that its API takes no longer sees nothing that was read with it, by any query. So *stale* costs two calls at 403: one behind the answer, which finds that out, and then that of whoever asks
  next and waits for it. A key that met 401 is not tried again for 5 seconds: there it is one.
- Settings are the defaults: two repeated calls, 10 seconds a call, 15 a question, 30 an operation.
- Whatever happens, the answer's status is 200, it comes in its time, each cause is one error, and neither the answer, its headers nor the log holds a
  key, a URL or any text of an upstream.

| fault | at | cold | fresh | stale | old |
|---|---|---|---|---|---|
";

/// The page.
pub(super) fn page(cells: &[Cell]) -> String {
    let mut page = HEAD.to_owned();
    for fault in Fault::ALL {
        for struck in Struck::ALL {
            let concerned = [Leadlex, Composio].into_iter().filter(|upstream| struck.holds(*upstream));
            if !concerned.clone().any(|upstream| fault.concerns(upstream)) {
                continue;
            }
            let row = Kept::ALL.map(|kept| entry(cells, fault, struck, kept));
            writeln!(page, "| {} | {} | {} |", fault.name(), struck.name(), row.join(" | ")).unwrap();
        }
    }
    page
}

/// One entry: what is seen at the upstreams that were struck; which queries see it, where they differ.
fn entry(cells: &[Cell], fault: Fault, struck: Struck, kept: Kept) -> String {
    let mut outcomes: Vec<(String, Vec<String>)> = Vec::new();
    for query in Query::ALL {
        let is_here = |cell: &&Cell| (cell.0, cell.1, cell.2, cell.3) == (fault, struck, kept, query);
        let (.., seen) = cells.iter().find(is_here).unwrap();
        let halves: Vec<(_, &Half)> = [Leadlex, Composio]
            .into_iter()
            .filter(|upstream| struck.holds(*upstream) && query.asks(*upstream))
            .map(|upstream| (upstream, &seen[place(upstream)]))
            .collect();
        let is_one = halves.windows(2).all(|pair| pair[0].1 == pair[1].1);
        for (upstream, half) in halves.iter().take(if is_one { 1 } else { 2 }) {
            let name = match upstream {
                _ if is_one => query.name().to_owned(),
                Leadlex => format!("{}' providers", query.name()),
                Composio => format!("{}' accounts", query.name()),
            };
            match outcomes.iter_mut().find(|(outcome, _)| *outcome == half.to_string()) {
                Some((_, names)) => names.push(name),
                None => outcomes.push((half.to_string(), vec![name])),
            }
        }
    }
    // Stable: of those that are seen as often, the first. What most see needs no names.
    outcomes.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    let told = outcomes.iter().enumerate().map(|(place, (outcome, names))| match place {
        0 => outcome.clone(),
        _ => format!("{}: {outcome}", names.join(", ")),
    });
    told.collect::<Vec<_>>().join("<br>")
}
