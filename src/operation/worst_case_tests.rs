//! A search for documents that are expensive to refuse or to validate: random shapes of the kinds whose validation is
//! more than linear, changed step by step towards the most expensive one.
//!
//! The cost is CPU time of this thread, relative to a plain document of as many tokens as are allowed. So it depends
//! neither on the machine nor on its load, and hardly on the optimisation level.

use std::fmt::Write as _;
use std::time::Duration;

use fastrand::Rng;
use rustix::time::{ClockId, clock_gettime};

use super::document::Documents;
use super::settings::LimitSettings;

/// Maximum cost, in plain documents. A plain one takes about 5 ms in an optimised build.
const COST_MAX: f64 = 4.0;

/// The limits of documents as shipped.
const LIMITS: LimitSettings = LimitSettings {
    depth: 15,
    complexity: 50_000,
    aliases: 100,
    directives: 50,
    tokens: 15_000,
    upstream_calls: 300,
    response_bytes: 16 << 20,
    operation_timeout_ms: 30_000,
    complexity_at_once: 500_000,
    wait_ms: 3_000,
    introspection: true,
    suggestions: true,
};

const BODY_BYTES: usize = 1 << 20;
const SEARCHES: u64 = 4;
const STEPS: usize = 25;

/// A shape of documents: operations that spread fragments, which spread others or nest fields with arguments.
#[derive(Debug, Clone)]
struct Shape {
    operations: usize,
    variables: usize,
    fragments: usize,
    /// Spreads of one shared fragment in each fragment.
    spreads: usize,
    aliases: usize,
    depth: usize,
    fields: usize,
    name_bytes: usize,
    values: usize,
    members: usize,
    directives: usize,
    literal_bytes: usize,
    /// Whether the literal is a block string of short lines.
    is_block: bool,
    comment_bytes: usize,
    is_known: bool,
}

impl Shape {
    fn random(rng: &mut Rng) -> Self {
        // Each part is large in some shapes and absent in others.
        let mut upto = |max: usize| match rng.u8(..3) {
            0 => 1,
            1 => 1 + rng.usize(..max.isqrt()),
            _ => 1 + rng.usize(..max),
        };
        Self {
            operations: upto(50),
            variables: upto(2_000) - 1,
            fragments: upto(600),
            spreads: upto(3_600) - 1,
            aliases: upto(2_000) - 1,
            depth: upto(30),
            fields: upto(2_000) - 1,
            name_bytes: upto(1_000),
            values: upto(5_000) - 1,
            members: upto(2_000) - 1,
            directives: upto(1_000) - 1,
            literal_bytes: upto(1_000_000),
            comment_bytes: upto(1_000_000),
            is_block: rng.bool(),
            is_known: rng.bool(),
        }
    }

    /// Creates a shape that differs in one part.
    fn changed(&self, rng: &mut Rng) -> Self {
        let (mut next, other) = (self.clone(), Self::random(rng));
        match rng.u8(..15) {
            0 => next.operations = other.operations,
            1 => next.variables = other.variables,
            2 => next.fragments = other.fragments,
            3 => next.spreads = other.spreads,
            4 => next.aliases = other.aliases,
            5 => next.depth = other.depth,
            6 => next.fields = other.fields,
            7 => next.name_bytes = other.name_bytes,
            8 => next.values = other.values,
            9 => next.members = other.members,
            10 => next.directives = other.directives,
            11 => next.literal_bytes = other.literal_bytes,
            12 => next.comment_bytes = other.comment_bytes,
            13 => next.is_block = other.is_block,
            _ => next.is_known = other.is_known,
        }
        next
    }

    fn text(&self) -> String {
        let name = format!("N{}", "x".repeat(self.name_bytes));
        let mut text = format!("#{}\n", "x".repeat(self.comment_bytes));
        let list = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<String>();
        for operation in 0..self.operations {
            let variables = list(self.variables / self.operations, &|i| format!("$v{i}:ID "));
            let variables = if variables.is_empty() { String::new() } else { format!("({variables})") };
            let directives = list(self.directives / self.operations, &|_| "@skip(if:true)".to_owned());
            let _ = write!(text, "query q{operation}{variables}{directives}{{...M}}");
        }
        let used = list(self.variables / self.operations, &|i| format!("$v{i} "));
        let values = list(self.values, &|i| format!("{i} "));
        let members = list(self.members, &|i| format!("m{i}:1 "));
        let field = match self.is_known {
            true => "accounts:nodes",
            false => "unknown",
        };
        let literal = match self.is_block {
            true => format!("\"\"\"{}\"\"\"", "x\n".repeat(self.literal_bytes / 2)),
            false => format!("\"{}\"", "x".repeat(self.literal_bytes)),
        };
        let arguments = format!("(ids:[{values}{used}] o:{{{members}}} s:{literal})");
        let spread = list(self.fragments, &|i| format!("...F{i} "));
        let aliased = list(self.aliases, &|i| format!("a{i}:__typename "));
        let _ = write!(text, "fragment M on Query{{__typename {spread}{aliased}}}");
        for fragment in 0..self.fragments {
            let _ = write!(text, "fragment F{fragment} on Query{{...L}}");
        }
        let shared = list(self.spreads, &|_| format!("...{name} "));
        let step = "providers{nodes{connectedAccounts{nodes{";
        let nested = step.split_inclusive('{').cycle().take(self.depth).collect::<String>();
        let fields = list(self.fields, &|_| "__typename ".to_owned());
        let _ = write!(
            text,
            "fragment L on Query{{__typename {field}{arguments}{{id}}{field}{arguments}{{id}}{shared}{nested}{fields}__typename{}}}",
            "}".repeat(self.depth)
        );
        let _ = write!(text, "fragment {name} on Query{{__typename}}");
        text
    }
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// CPU time of validating a document, the shorter of two runs.
fn cost(documents: &Documents, text: &str) -> Duration {
    let once = || {
        documents.results.clear();
        let before = cpu_time();
        drop(documents.validate(text));
        cpu_time() - before
    };
    once().min(once())
}

#[test]
fn no_document_is_much_more_expensive_than_a_plain_one() {
    let limits = LIMITS;
    let plain = format!("{{ {}}}", "__typename ".repeat((limits.tokens - 10) / 2));
    let sdl = crate::graphql::schema::sdl();
    let documents = Documents::new(&sdl, 1 << 26, limits).unwrap();
    assert!(documents.validate(&plain).is_ok());
    let unit = cost(&documents, &plain);
    let mut worst = (0.0, String::new());
    for seed in 0..SEARCHES {
        let mut rng = Rng::with_seed(seed);
        let mut best = (Shape::random(&mut rng), Duration::ZERO);
        for step in 0..STEPS {
            let shape = if step < STEPS / 2 { Shape::random(&mut rng) } else { best.0.changed(&mut rng) };
            let text = shape.text();
            if text.len() > BODY_BYTES {
                continue;
            }
            let found = cost(&documents, &text);
            if found > best.1 {
                best = (shape, found);
            }
        }
        let ratio = best.1.div_duration_f64(unit);
        if ratio > worst.0 {
            worst = (ratio, format!("{:?}", best.0));
        }
    }
    assert!(worst.0 < COST_MAX, "{:.1} plain documents of {unit:?}: {}", worst.0, worst.1);
}
