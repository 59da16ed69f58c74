//! The fault matrix: every fault × upstream × cache state × query, compared with rules and published as a
//! table.

mod cell;
mod fault;
mod rules;
mod sockets;
mod table;

use self::cell::{AffectedUpstreams, Bench, CacheState, CellResult, Log, Query};
use self::fault::Fault;

/// One cell and its observed result.
type Cell = (Fault, AffectedUpstreams, CacheState, Query, CellResult);

/// Runs all cells on a few threads. Each thread has its own paused clock.
fn matrix() -> Vec<Cell> {
    const THREADS: usize = 4;
    let shard = |number: usize| {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().start_paused(true).build().unwrap();
            let log = Log::default();
            let _listening = log.capture();
            runtime.block_on(async {
                let mut bench = Bench::new(log).await;
                let mut cells = Vec::new();
                for fault in Fault::ALL.into_iter().skip(number).step_by(THREADS) {
                    for affected in AffectedUpstreams::ALL {
                        for cache_state in CacheState::ALL {
                            for query in Query::ALL {
                                let seen = bench.cell(fault, affected, cache_state, query).await;
                                cells.push((fault, affected, cache_state, query, seen));
                            }
                        }
                    }
                }
                cells
            })
        })
    };
    let shards: Vec<_> = (0..THREADS).map(shard).collect();
    shards.into_iter().flat_map(|shard| shard.join().unwrap()).collect()
}

/// The documentation page of the matrix.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");

#[test]
fn fault_matrix_matches_the_rules_and_the_page() {
    let cells = matrix();
    assert_eq!(cells.len(), 30 * 3 * 4 * 5);
    let against_the_rules = cells.iter().filter_map(|(fault, affected, cache_state, query, seen)| {
        let expected = rules::expected(*fault, *affected, *cache_state, *query);
        let tell = |[leadlex, composio]: &CellResult| format!("LeadLex {leadlex}; Composio {composio}");
        (*seen != expected).then(|| {
            let cell = format!("{} at {}, {cache_state:?}, {query:?}", fault.name(), affected.name());
            format!("{cell}:\n  seen     {}\n  expected {}\n", tell(seen), tell(&expected))
        })
    });
    let against_the_rules: Vec<_> = against_the_rules.collect();
    assert!(against_the_rules.is_empty(), "{}", against_the_rules.concat());

    let page = table::page(&cells);
    if std::env::var_os("SWITCHBOARD_BLESS").is_some() {
        std::fs::write(PAGE, page).unwrap();
        return;
    }
    let written = std::fs::read_to_string(PAGE).unwrap();
    for (line, (written, seen)) in written.lines().zip(page.lines()).enumerate() {
        assert_eq!(
            written,
            seen,
            "docs/faults.md, line {}: differs. Run this test with SWITCHBOARD_BLESS=1 to rewrite the page.",
            line + 1
        );
    }
    assert_eq!(written.len(), page.len(), "docs/faults.md");
}
