//! The results as Markdown for README.

use std::fmt::Write as _;
use std::time::Duration;

use crate::load::Round;
use crate::plan::Plan;
use crate::process::Memory;
use crate::sandbox::Calls;
use crate::servers::{Contender, Kind};

/// One server's figures. `None` was not measured.
pub(crate) struct Row {
    name: String,
    kind: Kind,
    /// The difference from Switchboard's responses. Such a server is not measured.
    pub(crate) excluded: Option<String>,
    pub(crate) starts: Vec<Duration>,
    pub(crate) idle: Option<Memory>,
    pub(crate) memory: Option<Memory>,
    pub(crate) hot: Vec<Round>,
    pub(crate) unique: Vec<Round>,
    pub(crate) cold: Vec<Duration>,
    pub(crate) cold_calls: Option<Calls>,
    pub(crate) stampede: Option<(Calls, Result<Duration, String>)>,
    pub(crate) skewed: Option<Result<Skewed, String>>,
}

/// The response on skewed data: how many of 20 lists are wrong, and how many of those are empty.
#[derive(Clone, Copy)]
pub(crate) struct Skewed {
    pub(crate) wrong: usize,
    pub(crate) empty: usize,
    pub(crate) calls: Calls,
}

impl Row {
    pub(crate) fn new(contender: &Contender) -> Self {
        Self {
            name: contender.name.clone(),
            kind: contender.kind,
            excluded: None,
            starts: Vec::new(),
            idle: None,
            memory: None,
            hot: Vec::new(),
            unique: Vec::new(),
            cold: Vec::new(),
            cold_calls: None,
            stampede: None,
            skewed: None,
        }
    }

    fn hot(&self, figure: fn(&Round) -> f64) -> Option<f64> {
        median(self.hot.iter().map(figure))
    }

    fn unique(&self, figure: fn(&Round) -> f64) -> Option<f64> {
        median(self.unique.iter().map(figure))
    }

    fn cold(&self) -> Option<f64> {
        median(self.cold.iter().map(millis))
    }

    fn start(&self) -> Option<f64> {
        median(self.starts.iter().map(millis))
    }

    /// Whether it is a GraphQL server of another project.
    fn is_peer(&self) -> bool {
        matches!(self.kind, Kind::Plain | Kind::Node(_))
    }
}

/// The part for README: date and commit of the run, machine and ratios.
pub(crate) fn summary(rows: &[Row], plan: &Plan, run: &str) -> Result<String, std::fmt::Error> {
    let of = |kind| rows.iter().find(move |row| row.kind == kind);
    let bare = of(Kind::Bare).and_then(|row| row.hot(Round::per_core_second));
    let ours = of(Kind::Switchboard).and_then(|row| row.unique(Round::cpu_micros));
    let mut text = String::new();
    writeln!(text, "{run}, {}.\n", machine())?;
    writeln!(
        text,
        "| server | same query again: req/s of a core ÷ bare axum | new filter each time: CPU ÷ Switchboard | cold, 50 ms a hop: ms | \
         {} identical at once: calls | memory, MB | skewed data |",
        plan.stampede
    )?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|---|")?;
    for row in rows.iter().filter(|row| row.excluded.is_none()) {
        let at_once = row.stampede.as_ref().map_or("–".to_owned(), |(calls, _)| counted(*calls));
        let skewed = match &row.skewed {
            None => "–",
            Some(Ok(Skewed { wrong: 0, .. })) => "right",
            Some(_) => "wrong",
        };
        writeln!(
            text,
            "| {} | {} | {} | {} | {at_once} | {} | {skewed} |",
            row.name,
            shown(ratio(row.hot(Round::per_core_second), bare), 3),
            shown(ratio(row.unique(Round::cpu_micros), ours), 2),
            shown(row.cold(), 0),
            shown(row.memory.map(|memory| memory.now), 0),
        )?;
    }
    Ok(text)
}

/// The complete `RESULTS.md`.
pub(crate) fn write(rows: &[Row], plan: &Plan, run: &str, quick: bool) -> anyhow::Result<String> {
    let of = |kind| rows.iter().find(move |row| row.kind == kind);
    let bare = of(Kind::Bare).and_then(|row| row.hot(Round::per_core_second));
    let ours = of(Kind::Switchboard).and_then(|row| row.unique(Round::cpu_micros));
    let mut text = String::new();
    writeln!(text, "# Switchboard beside its peers\n")?;
    if quick {
        writeln!(text, "**A quick run, which tests that everything works. The figures mean nothing.**\n")?;
    }
    writeln!(text, "Written by `make bench-peers`; README shows the first table.\n")?;
    writeln!(text, "{}", summary(rows, plan, run)?)?;

    writeln!(
        text,
        "| server | hot: CPU µs/request | hot: req/s | hot: core busy | hot: req/s of a core ÷ bare axum | unique: CPU µs/request | unique: CPU ÷ \
         Switchboard | start, ms | idle, MB | after load, MB (peak) |"
    )?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")?;
    for row in rows.iter().filter(|row| row.kind != Kind::Expecting) {
        let name = &row.name;
        if let Some(how) = &row.excluded {
            writeln!(
                text,
                "| {name} | not measured, its responses differ: {} | | | | | | | | |",
                brief(how)
            )?;
            continue;
        }
        writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            shown(row.hot(Round::cpu_micros), 0),
            shown(row.hot(Round::per_second), 0),
            shown(row.hot(Round::busy).map(|busy| busy * 100.0), 0) + " %",
            shown(ratio(row.hot(Round::per_core_second), bare), 3),
            shown(row.unique(Round::cpu_micros), 0),
            shown(ratio(row.unique(Round::cpu_micros), ours), 2),
            shown(row.start(), 0),
            shown(row.idle.map(|memory| memory.now), 0),
            row.memory.map_or("–".into(), |memory| format!("{:.0} ({:.0})", memory.now, memory.most)),
        )?;
    }

    let many = plan.stampede;
    writeln!(
        text,
        "\n| server | cold, 50 ms a hop: ms | calls | {many} identical at once, cold: calls | until the last, ms | skewed data | calls |"
    )?;
    writeln!(text, "|---|---:|---:|---:|---:|---|---:|")?;
    for row in rows.iter().filter(|row| row.excluded.is_none()) {
        let (at_once, last) = match &row.stampede {
            None => ("–".into(), "–".into()),
            Some((calls, Ok(took))) => (counted(*calls), format!("{:.0}", millis(took))),
            Some((calls, Err(wrong))) => (counted(*calls), brief(wrong)),
        };
        let (skewed, calls) = match &row.skewed {
            None => ("–".into(), "–".into()),
            Some(Err(wrong)) => (brief(wrong), "–".into()),
            Some(Ok(Skewed { wrong: 0, calls, .. })) => ("right".into(), counted(*calls)),
            Some(Ok(Skewed { wrong, empty, calls })) => {
                (format!("WRONG: {wrong} of 20 lists, {empty} of them empty"), counted(*calls))
            }
        };
        writeln!(
            text,
            "| {} | {} | {} | {at_once} | {last} | {skewed} | {calls} |",
            row.name,
            shown(row.cold(), 0),
            row.cold_calls.map_or("–".into(), counted),
        )?;
    }
    goals(&mut text, rows)?;
    write!(text, "\n{}", notes(plan))?;
    Ok(text)
}

/// Switchboard's goals and the measured values.
fn goals(text: &mut String, rows: &[Row]) -> std::fmt::Result {
    let of = |kind| rows.iter().find(move |row| row.kind == kind);
    let (ours, bare, plain) = (of(Kind::Switchboard), of(Kind::Bare), of(Kind::Plain));
    let per_second = |row: Option<&Row>| row.and_then(|row| row.hot(Round::per_core_second));
    let unique = |row: Option<&Row>| row.and_then(|row| row.unique(Round::cpu_micros));
    let best = rows.iter().filter(|row| row.is_peer()).max_by(|a, b| {
        let hot = |row: &Row| row.hot(Round::per_core_second).unwrap_or_default();
        hot(a).total_cmp(&hot(b))
    });
    let at_once = ours.and_then(|row| match &row.stampede {
        Some((calls, Ok(_))) => Some((calls.leadlex + calls.composio) as f64),
        _ => None,
    });
    let cold = |kind| of(kind).and_then(Row::cold);
    let start = ours.and_then(Row::start);
    let idle = ours.and_then(|row| row.idle.map(|memory| memory.now));
    let best_name = best.map_or("none", |row| row.name.as_str());
    let goals = [
        (
            "hot: req/s of a core ÷ bare axum".to_owned(),
            Bound::Least(0.8),
            ratio(per_second(ours), per_second(bare)),
        ),
        (
            format!("hot: req/s of a core ÷ the best peer ({best_name})"),
            Bound::Least(20.0),
            ratio(per_second(ours), per_second(best)),
        ),
        (
            "unique: CPU of async-graphql + DataLoader ÷ ours".to_owned(),
            Bound::Least(1.5),
            ratio(unique(plain), unique(ours)),
        ),
        (
            "cold ÷ two requests to the upstreams, one after the other".to_owned(),
            Bound::Most(1.04),
            ratio(cold(Kind::Switchboard), cold(Kind::Bare)),
        ),
        ("cold, concurrent hops, ms".to_owned(), Bound::Most(60.0), cold(Kind::Expecting)),
        ("many identical requests at once: calls".to_owned(), Bound::Most(3.0), at_once),
        ("start to first response, ms".to_owned(), Bound::Most(15.0), start),
        ("idle, MB".to_owned(), Bound::Most(15.0), idle),
    ];
    writeln!(text, "\n| Switchboard's goal | bound | measured | |\n|---|---:|---:|---|")?;
    for (what, bound, measured) in goals {
        let (bound, reached) = match bound {
            Bound::Least(least) => (format!("≥ {least}"), measured.map(|measured| measured >= least)),
            Bound::Most(most) => (format!("≤ {most}"), measured.map(|measured| measured <= most)),
        };
        let verdict = match reached {
            Some(true) => "reached",
            Some(false) => "**missed**",
            None => "not measured",
        };
        writeln!(text, "| {what} | {bound} | {} | {verdict} |", shown(measured, 2))?;
    }
    Ok(())
}

enum Bound {
    Least(f64),
    Most(f64),
}

fn notes(plan: &Plan) -> String {
    format!(
        "Method: one server at a time on one core. The upstreams (`switchboard sandbox`, 10,000 accounts) and the load\n\
         share another, over loopback, with 16 connections. Figures are medians of {} interleaved rounds of {:.1} s; cold\n\
         figures are medians of {} samples. Each peer is set up as its own documentation recommends. It reads the\n\
         accounts of 20 providers in two concurrent calls, because a page has 100. All responses were compared as JSON\n\
         before the measurement. Switchboard is built by `deploy/pgo/build`, as the release archives\n\
         are, unless the line above the first table says otherwise.\n\
         \n\
         - Hot: 20 providers with 10 accounts each, repeated. If the core was not busy, the load was the limit. So the\n  \
         ratios use requests per second of the server's core, which equal requests per second on a busy core.\n\
         - Unique: the first 20 accounts of three users in a new combination; upstream latency 0. Bare axum makes one\n  \
         upstream call for the same accounts, discards its response and returns fixed bytes: the lower bound.\n\
         - Calls: LeadLex + Composio. Start: from the start of the process to its first response; the median of the run's\n  \
         starts, of which Switchboard has 12 and a peer has 4.\n\
         - Cold: peers are warm, and their cached data has expired. Switchboard is restarted for each sample and gets one\n  \
         other request first. With `toolkits.expected` it calls both upstreams concurrently. In the row of bare axum:\n  \
         two requests to the upstreams, one after the other, whose responses are discarded.\n\
         - Skewed: the newest 3,000 accounts belong to one toolkit, and each toolkit has at least 350. The reference is\n  \
         one call for each provider.\n",
        plan.rounds,
        plan.round.as_secs_f64(),
        plan.cold_samples,
    )
}

/// Processor, cores, kernel and Node.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let named = |name: &str| {
        cpus.lines().filter_map(|line| Some(line.strip_prefix(name)?.split_once(':')?.1.trim())).collect()
    };
    let models: Vec<&str> = named("model name");
    let node = std::process::Command::new("node").arg("--version").output().ok();
    let node = node.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    let release = read("/proc/sys/kernel/osrelease");
    let kernel = release.trim().split('-').next().unwrap_or_default().to_owned();
    let model = models.first().copied().unwrap_or("an unnamed processor");
    format!("{model}, {} cores, Linux {kernel}, Node {}", models.len(), node.trim())
}

fn counted(calls: Calls) -> String {
    format!("{} + {}", calls.leadlex, calls.composio)
}

fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or("–".to_owned(), |figure| format!("{figure:.digits$}"))
}

/// Shortened for a table cell.
fn brief(text: &str) -> String {
    text.chars().take(120).map(|c| if matches!(c, '|' | '\n') { ' ' } else { c }).collect()
}

fn ratio(of: Option<f64>, to: Option<f64>) -> Option<f64> {
    Some(of? / to?)
}

fn millis(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}
