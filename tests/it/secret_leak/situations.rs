//! Scenarios and faults of the upstreams.

use clap::ValueEnum as _;

use super::test_network::Accident;
use switchboard::sandbox::{Fault, FaultBody, Scenario};

/// A scenario or a fault.
pub(super) struct Situation {
    pub(super) name: String,
    pub(super) scenario: Scenario,
    pub(super) fault: Fault,
    pub(super) accident: Accident,
}

/// All scenarios, all faults, and panics where a library could panic.
pub(super) fn situations() -> Vec<Situation> {
    let situation = |name: &str| Situation {
        name: name.to_owned(),
        scenario: Scenario::Healthy,
        fault: Fault::default(),
        accident: Accident::None,
    };
    let scenarios = Scenario::value_variants().iter();
    let scenarios = scenarios.map(|&scenario| Situation { scenario, ..situation(&format!("{scenario:?}")) });
    let statuses = [302, 400, 401, 403, 404, 422, 429, 500, 503, 546];
    let statuses = statuses.map(|status| format!("status={status}")).into_iter();
    let others = ["status=429; retry-after=3", "status=500; size=3000", "latency-ms=6000"];
    let bodies = BODIES.iter().map(|body| match body {
        FaultBody::Unchanged => "status=503; times=1",
        FaultBody::Cut => "cut=1",
        FaultBody::Garbage => "garbage=1",
        FaultBody::Empty => "empty=1",
        FaultBody::Size(_) => "size=10485760",
        FaultBody::Documented => "shape=documented",
        FaultBody::List => "shape=list",
        FaultBody::WrongTypes => "shape=wrong-types",
    });
    let faults = statuses.chain(others.into_iter().chain(bodies).map(str::to_owned));
    let faults = faults.map(|text| Situation { fault: Fault::parse(&text).unwrap(), ..situation(&text) });
    let accidents = [Accident::PanicBeforeTheAnswer, Accident::PanicInTheBody, Accident::PanicInAResolver];
    let accidents = accidents.map(|accident| Situation { accident, ..situation(&format!("{accident:?}")) });
    scenarios.chain(faults).chain(accidents).collect()
}

/// Each variant once; the match above does not compile if one is missing.
const BODIES: [FaultBody; 8] = [
    FaultBody::Unchanged,
    FaultBody::Cut,
    FaultBody::Garbage,
    FaultBody::Empty,
    FaultBody::Size(0),
    FaultBody::Documented,
    FaultBody::List,
    FaultBody::WrongTypes,
];
