//! Every metric, declared once: its name, kind, unit, labels with all their values, and meaning.
//!
//! Names follow Prometheus's conventions: a counter ends in `_total`, what has a unit ends in it (before that), units are base units.
//! A label's values are a closed list, so that no URL, id or user can become one; the one exception is an operation's name,
//! whose number is bounded. `docs/metrics.md` is written from this table by a test.

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Declared {
    /// The name that queries use.
    pub name: &'static str,
    /// What may be done with its values.
    pub kind: Kind,
    /// What it is measured in; empty for mere numbers.
    pub unit: &'static str,
    /// What its values are told apart by.
    pub labels: &'static [Label],
    /// What it means, without a full stop.
    pub help: &'static str,
}

/// What may be done with a metric's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows: `rate()`.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It is counted by size: `histogram_quantile()`.
    Histogram,
}

impl Kind {
    /// Its word in OpenMetrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What values of a metric are told apart by.
#[derive(Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// All the values that it can have; empty where they are not listed, and `is` says what they are.
    pub values: &'static [&'static str],
    /// What the values are.
    pub is: &'static str,
}

const fn label(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values, is: "" }
}

const UPSTREAM: Label = label("upstream", &["leadlex", "composio"]);
const LISTENER: Label = label("listener", &["public", "ops"]);
const TRANSPORT: Label = label("transport", &["http", "sse", "multipart", "websocket"]);
const STREAM: Label = label("transport", &["sse", "multipart", "websocket"]);
const OPERATION: Label = Label {
    name: "operation",
    values: &[],
    is: "a name that clients gave, of the first `metrics.operation_names_max` ones; `other`; empty for operations without a name; \
         `unknown` where it was refused before it was known",
};
const OUTCOME: Label =
    label("outcome", &["ok", "partial", "refused", "overloaded", "crashed", "hung_up", "cut_off"]);
const CACHE: Label = label(
    "cache",
    &["pages", "accounts", "totals", "ways_back", "providers", "last_known", "answers", "documents"],
);
const STATUS: Label = Label { name: "status", values: &[], is: "an HTTP status, three digits" };
const VERSION: Label = Label { name: "version", values: &[], is: "as `switchboard --version` says" };
const CODE: Label = label(
    "code",
    &[
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
        "OPERATION_RESOLUTION_FAILURE",
        "PERSISTED_QUERY_NOT_FOUND",
        "PERSISTED_QUERY_NOT_SUPPORTED",
        "BAD_USER_INPUT",
        "UNAUTHENTICATED",
        "FORBIDDEN",
        "LIMIT_EXCEEDED",
        "DEADLINE_EXCEEDED",
        "OVERLOADED",
        "INTERNAL",
        "UPSTREAM_TIMEOUT",
        "UPSTREAM_UNAVAILABLE",
        "UPSTREAM_RATE_LIMITED",
        "UPSTREAM_UNAUTHORIZED",
        "UPSTREAM_FORBIDDEN",
        "UPSTREAM_REJECTED",
        "UPSTREAM_BAD_RESPONSE",
    ],
);
const CALL_OUTCOME: Label = label(
    "outcome",
    &[
        "ok",
        "cancelled",
        "UPSTREAM_TIMEOUT",
        "UPSTREAM_UNAVAILABLE",
        "UPSTREAM_RATE_LIMITED",
        "UPSTREAM_UNAUTHORIZED",
        "UPSTREAM_FORBIDDEN",
        "UPSTREAM_REJECTED",
        "UPSTREAM_BAD_RESPONSE",
        "INTERNAL",
    ],
);
const RULE: Label = label(
    "rule",
    &[
        "missing",
        "wrong_type",
        "empty",
        "unreadable_row",
        "not_in_filter",
        "unreadable_timestamp",
        "unreadable_scope",
        "unreadable_value",
    ],
);

macro_rules! declared {
    ($($constant:ident = $kind:ident $name:literal in $unit:literal by [$($label:expr),*]: $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Declared =
                Declared { name: $name, kind: Kind::$kind, unit: $unit, labels: &[$($label),*], help: $help };
        )*

        /// All of them.
        pub const ALL: &[&Declared] = &[$(&$constant),*];
    };
}

declared! {
    REQUESTS = Counter "switchboard_requests_total" in "" by [TRANSPORT, OPERATION, OUTCOME]:
        "Operations that were asked for, over every transport";
    REQUEST_DURATION = Histogram "switchboard_request_duration_seconds" in "seconds" by [OPERATION, OUTCOME]:
        "How long they took to answer; of a subscription, to begin";
    REQUEST_ERRORS = Counter "switchboard_request_errors_total" in "" by [CODE]:
        "Operations whose answer has errors, by the code of the first";
    ANSWERS = Counter "switchboard_answers_total" in "" by [label("made", &["executed", "joined", "kept"])]:
        "Answers to queries and mutations that ran: executed for the one who asked, shared with others who asked meanwhile, or kept from before";
    RESPONSES = Counter "switchboard_http_responses_total" in ""
        by [label("route", &["graphql", "webhook", "page", "other"]), STATUS]:
        "Responses of the public listener";
    CONNECTIONS = Gauge "switchboard_connections_open" in "" by [LISTENER]:
        "Connections that have one of the `server.connections_max` places now";
    CONNECTIONS_REFUSED = Counter "switchboard_connections_refused_total" in ""
        by [LISTENER, label("reason", &["full", "flooded", "malformed", "head_too_large"])]:
        "Connections that were refused before there was a request: all places taken (`flooded`: so many that they are not told), or no head of HTTP";
    SUBSCRIPTIONS = Gauge "switchboard_subscriptions_open" in "" by [STREAM]:
        "Subscriptions that are listened to now";
    SUBSCRIPTION_EVENTS = Counter "switchboard_subscription_events_total" in "" by [STREAM]:
        "Answers that subscriptions were told after they had begun";
    WATCHES = Gauge "switchboard_watches" in "" by [UPSTREAM]:
        "Keys that are watched for changes now, one each however many listen";
    BATCH_KEYS = Histogram "switchboard_loader_batch_keys" in "keys"
        by [label("loader", &["providers", "account", "accounts", "counts"])]:
        "How much one batch of a loader was asked for";
    CACHE_READS = Counter "switchboard_cache_reads_total" in ""
        by [UPSTREAM, label("freshness", &["fresh", "stale", "stale_on_error", "miss"])]:
        "Reads of what was fetched, by what was served; a miss had to be fetched first";
    CACHE_WEIGHT = Gauge "switchboard_cache_weight_bytes" in "bytes" by [CACHE]:
        "What is kept, by weight";
    CACHE_LIMIT = Gauge "switchboard_cache_limit_bytes" in "bytes" by [CACHE]:
        "What it may weigh";
    CALLS = Counter "switchboard_upstream_calls_total" in "" by [UPSTREAM, CALL_OUTCOME]:
        "Calls that were sent, each repeated one too, by the error code where they failed";
    CALL_DURATION = Histogram "switchboard_upstream_call_duration_seconds" in "seconds"
        by [UPSTREAM, label("outcome", &["ok", "failed"])]:
        "How long calls took, from the moment that they were sent to the last byte";
    CALLS_HELD = Counter "switchboard_upstream_calls_held_total" in ""
        by [UPSTREAM, label("by", &["refused_key", "quota", "breaker", "concurrency"])]:
        "Calls that were not sent, by what held them back";
    RETRIES = Counter "switchboard_upstream_retries_total" in "" by [UPSTREAM]:
        "Calls that repeated one that had failed";
    PROBLEMS = Counter "switchboard_upstream_problems_total" in "" by [UPSTREAM, RULE]:
        "Rows and values of answers that could not be read or were not asked for";
    CALLS_UNDER_WAY = Gauge "switchboard_upstream_calls_under_way" in "" by [UPSTREAM]:
        "Calls that have a place now";
    BREAKERS_OPEN = Gauge "switchboard_upstream_breakers_open" in "" by [UPSTREAM]:
        "Keys whose breaker holds calls back now; one whose pause is over, and that nobody asks by, does not";
    QUOTA_LIMIT = Gauge "switchboard_upstream_quota_limit_calls" in "calls" by [UPSTREAM]:
        "The calls of one window of the key that has the smallest share of them left; absent while no key's quota is known";
    QUOTA_REMAINING = Gauge "switchboard_upstream_quota_remaining_calls" in "calls" by [UPSTREAM]:
        "What is left of them";
    QUOTA_RESET = Gauge "switchboard_upstream_quota_reset_timestamp_seconds" in "seconds" by [UPSTREAM]:
        "When that window ends, in seconds since 1970";
    QUOTA_WINDOW = Gauge "switchboard_upstream_quota_window_seconds" in "seconds" by [UPSTREAM]:
        "How long that window is";
    REPLICA_COMMANDS = Counter "switchboard_replica_commands_total" in ""
        by [
            label("task", &["get", "set", "claim", "publish", "subscribe"]),
            label("outcome", &["ok", "away", "timeout", "unreachable", "locked_out", "refused"])
        ]:
        "Commands to what replicas share; `away`: not sent, as it was seen to fail";
    REPLICA_READS = Counter "switchboard_replica_reads_total" in ""
        by [label("outcome", &["hit", "miss", "unreadable"])]:
        "Values that were looked for in what replicas share";
    REPLICA_STORE_UP = Gauge "switchboard_replica_store_up" in "" by []:
        "Whether what replicas share answers: 1, or 0 while this one goes on by itself; absent where nothing is shared";
    RELOADS = Counter "switchboard_config_reloads_total" in "" by [label("outcome", &["ok", "refused"])]:
        "How often the configuration was read again while it was served; `refused`: something was wrong, and nothing has changed";
    CONFIG_IN_FORCE = Gauge "switchboard_config_in_force_timestamp_seconds" in "seconds" by []:
        "When the configuration that is in force was read: by the last reload that was not refused, or at the start; in seconds since 1970";
    BUILD_INFO = Gauge "switchboard_build_info" in "" by [VERSION]:
        "Always 1";
    RESIDENT_MEMORY = Gauge "process_resident_memory_bytes" in "bytes" by []:
        "The process's memory; absent where the system has no /proc";
    START_TIME = Gauge "process_start_time_seconds" in "seconds" by []:
        "When it started, in seconds since 1970";
}
