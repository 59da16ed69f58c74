//! The fault matrix: every fault × upstream × state of the cache × query, against rules, and as a table.

mod cell;
mod fault;
mod rules;
mod sockets;
mod table;

use self::cell::{Bench, Kept, Log, Query, Seen, Struck};
use self::fault::Fault;

/// One cell, and what is seen in it.
type Cell = (Fault, Struck, Kept, Query, Seen);

/// All cells, over a few threads: each has a clock of its own.
fn matrix() -> Vec<Cell> {
    const THREADS: usize = 4;
    let shard = |number: usize| {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().start_paused(true).build().unwrap();
            let log = Log::default();
            let _listening = log.listen();
            runtime.block_on(async {
                let mut bench = Bench::new(log).await;
                let mut cells = Vec::new();
                for fault in Fault::ALL.into_iter().skip(number).step_by(THREADS) {
                    for struck in Struck::ALL {
                        for kept in Kept::ALL {
                            for query in Query::ALL {
                                let seen = bench.cell(fault, struck, kept, query).await;
                                cells.push((fault, struck, kept, query, seen));
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

/// The page that shows the matrix.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");

#[test]
fn whatever_an_upstream_does_the_page_is_as_the_rules_say() {
    let cells = matrix();
    assert_eq!(cells.len(), 30 * 3 * 4 * 5);
    let against_the_rules = cells.iter().filter_map(|(fault, struck, kept, query, seen)| {
        let expected = rules::expected(*fault, *struck, *kept, *query);
        let tell = |[leadlex, composio]: &Seen| format!("LeadLex {leadlex}; Composio {composio}");
        (*seen != expected).then(|| {
            let cell = format!("{} at {}, {kept:?}, {query:?}", fault.name(), struck.name());
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
        assert_eq!(written, seen, "line {} of docs/faults.md; SWITCHBOARD_BLESS=1 writes it anew", line + 1);
    }
    assert_eq!(written.len(), page.len(), "docs/faults.md");
}
