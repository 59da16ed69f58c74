//! What each cell is to show, derived from what a fault is: its class, what is kept, and what the query asks for.
//!
//! The rules are those of DESIGN 4 and 5: a call that may pass is made again, up to thrice in all and before its deadline; an
//! upstream that fails is null at its fields with one error, unless something older is kept, which is shown instead, and
//! marked; a key that is no longer taken shows nothing that was read with it; the other upstream is not touched.

use switchboard::domain::upstream_name::UpstreamName::{self, Composio, Leadlex};

use super::cell::{Data, Half, Kept, Query, Seen, Struck};
use super::fault::Fault;

/// Of how many parents the joined query asks accounts for: the toolkits of 25 providers, of which some have the same.
const PARENTS: usize = 20;

/// What a fault does to one question at the upstream that it befalls, and how many calls that takes.
#[derive(Clone, Copy)]
enum Effect {
    Passes {
        calls: usize,
    },
    /// All is there, and nobody knows whether it is all.
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
    // A list of many parents is asked for joined first; whose part came out short is asked for alone.
    let of_walk = |pages: usize| if query == Query::Joined { 1 + PARENTS * pages } else { pages };
    match fault {
        Fault::RepeatedCursor | Fault::EndlessCursor if upstream == Leadlex => Passes { calls: 1 },
        Fault::RepeatedCursor | Fault::EndlessCursor if is_by_id => Passes { calls: 1 },
        Fault::RepeatedCursor => LeavesUnsure { calls: of_walk(2) },
        // The first page, and three that hold nothing new.
        Fault::EndlessCursor => LeavesUnsure { calls: of_walk(4) },
        Fault::UnknownWords | Fault::ClockAhead | Fault::ClockBehind => Passes { calls: 1 },
        Fault::Flapping => Passes { calls: 2 },
        Fault::Refused | Fault::Reset | Fault::DnsGone | Fault::TlsWrong | Fault::Status(500..) => {
            Fails { code: "UPSTREAM_UNAVAILABLE", calls: 3 }
        }
        // Ten seconds a call, fifteen in all.
        Fault::TimeoutBefore | Fault::TimeoutWithin | Fault::SlowTrickle => {
            Fails { code: "UPSTREAM_TIMEOUT", calls: 2 }
        }
        Fault::RateLimitedFor7s => Fails { code: "UPSTREAM_RATE_LIMITED", calls: 1 },
        Fault::RateLimited => Fails { code: "UPSTREAM_RATE_LIMITED", calls: 3 },
        // It would be as large the next time.
        Fault::TenMegabytes => Fails { code: "UPSTREAM_BAD_RESPONSE", calls: 1 },
        Fault::Html | Fault::Empty | Fault::Cut | Fault::CutJson | Fault::WrongTypes => {
            Fails { code: "UPSTREAM_BAD_RESPONSE", calls: 3 }
        }
        Fault::Status(401) => Fails { code: "UPSTREAM_UNAUTHORIZED", calls: 1 },
        Fault::Status(403) => Fails { code: "UPSTREAM_FORBIDDEN", calls: 1 },
        // It may be `account_type` that it does not know: once more without it.
        Fault::Status(422) if is_by_id && upstream == Composio => {
            Fails { code: "UPSTREAM_REJECTED", calls: 2 }
        }
        Fault::Status(_) => Fails { code: "UPSTREAM_REJECTED", calls: 1 },
    }
}

/// What is to be seen.
pub(super) fn expected(fault: Fault, struck: Struck, kept: Kept, query: Query) -> Seen {
    let [leadlex, mut composio] = [Leadlex, Composio].map(|upstream| {
        let effect =
            if struck.holds(upstream) { effect(fault, upstream, query) } else { Passes { calls: 1 } };
        if query.asks(upstream) { half(effect, kept) } else { Half::default() }
    });
    if query == Query::Joined && leadlex.data == Data::Null {
        // There is no provider whose accounts could be shown; they were asked for where it was known whose they would be.
        let calls = if kept == Kept::Cold { 0 } else { composio.calls };
        composio = Half { calls, ..Half::default() };
    }
    [leadlex, composio]
}

fn half(effect: Effect, kept: Kept) -> Half {
    let shown = |data, state: &str, calls| Half { data, state: state.to_owned(), code: None, calls };
    match (effect, kept) {
        (_, Kept::Fresh) => shown(Data::Whole, "FRESH", 0),
        (Passes { calls }, _) => shown(Data::Whole, "FRESH", calls),
        (LeavesUnsure { calls }, _) => shown(Data::Unsure, "FRESH", calls),
        (Fails { code, calls }, _) if kept == Kept::Cold || withdraws(code) => {
            // What is behind the answer has asked, and then the one who sees that nothing is kept any more; but a key that
            // was refused is not tried again for a moment.
            let again = usize::from(kept == Kept::Stale && code != "UPSTREAM_UNAUTHORIZED");
            Half { data: Data::Null, state: String::new(), code: Some(code.to_owned()), calls: calls + again }
        }
        (Fails { calls, .. }, _) => shown(Data::Whole, "STALE_ON_ERROR", calls),
    }
}

/// Whether what was read with the key is not to be shown any more.
fn withdraws(code: &str) -> bool {
    ["UPSTREAM_UNAUTHORIZED", "UPSTREAM_FORBIDDEN"].contains(&code)
}
