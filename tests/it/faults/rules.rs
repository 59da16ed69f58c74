//! The expected result of each cell, derived from the fault's class, the cache state and the query.
//!
//! The rules: a transient failure is retried, with at most three calls in all and before the deadline. A
//! failing upstream's fields are null with one error, unless older data is cached, which is served and
//! marked. A refused key hides all data read with it. The other upstream is not affected.

use switchboard::domain::upstream_name::UpstreamName::{self, Composio, Leadlex};

use super::cell::{AffectedUpstreams, CacheState, CellResult, Data, Half, Query};
use super::fault::Fault;

/// The number of parents whose accounts the joined query requests: the distinct toolkits of 25 providers.
const PARENTS: usize = 20;

/// The effect of a fault on one query of the affected upstream, and the number of calls.
#[derive(Clone, Copy)]
enum Effect {
    Passes {
        calls: usize,
    },
    /// All rows are there, but it is unknown whether the list is complete.
    LeavesUnsure {
        calls: usize,
    },
    Fails {
        code: &'static str,
        calls: usize,
    },
}

use Effect::{Fails, LeavesUnsure, Passes};

fn effect(fault: Fault, upstream: UpstreamName, query: Query) -> Effect {
    let is_by_id = matches!(query, Query::Node | Query::Nodes);
    // Accounts of many parents are read in batches. A parent whose share is incomplete is read alone.
    let of_walk = |pages: usize| if query == Query::Joined { 1 + PARENTS * pages } else { pages };
    match fault {
        Fault::RepeatedCursor | Fault::EndlessCursor if upstream == Leadlex => Passes { calls: 1 },
        Fault::RepeatedCursor | Fault::EndlessCursor if is_by_id => Passes { calls: 1 },
        Fault::RepeatedCursor => LeavesUnsure { calls: of_walk(2) },
        // The first page, and three that have nothing new.
        Fault::EndlessCursor => LeavesUnsure { calls: of_walk(4) },
        Fault::UnknownWords | Fault::ClockAhead | Fault::ClockBehind => Passes { calls: 1 },
        Fault::Flapping => Passes { calls: 2 },
        Fault::Refused | Fault::Reset | Fault::DnsGone | Fault::TlsWrong | Fault::Status(500..) => {
            Fails { code: "UPSTREAM_UNAVAILABLE", calls: 3 }
        }
        // Ten seconds per call, fifteen in all.
        Fault::TimeoutBefore | Fault::TimeoutWithin | Fault::SlowTrickle => {
            Fails { code: "UPSTREAM_TIMEOUT", calls: 2 }
        }
        Fault::RateLimitedFor7s => Fails { code: "UPSTREAM_RATE_LIMITED", calls: 1 },
        Fault::RateLimited => Fails { code: "UPSTREAM_RATE_LIMITED", calls: 3 },
        // A retry would be as large.
        Fault::TenMegabytes => Fails { code: "UPSTREAM_BAD_RESPONSE", calls: 1 },
        Fault::Html | Fault::Empty | Fault::Cut | Fault::CutJson | Fault::WrongTypes => {
            Fails { code: "UPSTREAM_BAD_RESPONSE", calls: 3 }
        }
        Fault::Status(401) => Fails { code: "UPSTREAM_UNAUTHORIZED", calls: 1 },
        Fault::Status(403) => Fails { code: "UPSTREAM_FORBIDDEN", calls: 1 },
        // The unknown parameter may be `account_type`: once more without it.
        Fault::Status(422) if is_by_id && upstream == Composio => {
            Fails { code: "UPSTREAM_REJECTED", calls: 2 }
        }
        Fault::Status(_) => Fails { code: "UPSTREAM_REJECTED", calls: 1 },
    }
}

/// The expected result.
pub(super) fn expected(
    fault: Fault,
    affected: AffectedUpstreams,
    cache_state: CacheState,
    query: Query,
) -> CellResult {
    let [leadlex, mut composio] = [Leadlex, Composio].map(|upstream| {
        let effect =
            if affected.holds(upstream) { effect(fault, upstream, query) } else { Passes { calls: 1 } };
        if query.asks(upstream) { half(effect, cache_state) } else { Half::default() }
    });
    if query == Query::Joined && leadlex.data == Data::Null {
        // There is no provider, so no accounts can be shown. They are read only if the providers were known
        // before.
        let calls = if cache_state == CacheState::Cold { 0 } else { composio.calls };
        composio = Half { calls, ..Half::default() };
    }
    [leadlex, composio]
}

fn half(effect: Effect, cache_state: CacheState) -> Half {
    let shown = |data, state: &str, calls| Half { data, state: state.to_owned(), code: None, calls };
    match (effect, cache_state) {
        (_, CacheState::Fresh) => shown(Data::Whole, "FRESH", 0),
        (Passes { calls }, _) => shown(Data::Whole, "FRESH", calls),
        (LeavesUnsure { calls }, _) => shown(Data::Unsure, "FRESH", calls),
        (Fails { code, calls }, _) if cache_state == CacheState::Cold || hides_data(code) => {
            // A refused key, and a refused request, are not sent again for some seconds.
            Half { data: Data::Null, state: String::new(), code: Some(code.to_owned()), calls }
        }
        (Fails { calls, .. }, _) => shown(Data::Whole, "STALE_ON_ERROR", calls),
    }
}

/// Whether data read with the key must be hidden.
fn hides_data(code: &str) -> bool {
    ["UPSTREAM_UNAUTHORIZED", "UPSTREAM_FORBIDDEN"].contains(&code)
}
