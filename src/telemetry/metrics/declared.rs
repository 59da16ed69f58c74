//! Declarations of all metrics: name, kind, unit, labels with their values, and help text.
//!
//! Names follow Prometheus's conventions: the base unit at the end, and `_total` after it for a counter. Label values
//! are closed lists, so that no URL, id or user becomes one; the only exceptions are the operation's name, whose number
//! is bounded, and `version`. A test writes `docs/metrics.md` from this table.

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Declared {
    /// Name in queries.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Unit; empty for plain numbers.
    pub unit: &'static str,
    /// Labels.
    pub labels: &'static [Label],
    /// Help text, without a full stop.
    pub help: &'static str,
}

/// Kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that only grows; use `rate()`.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Counts by size; use `histogram_quantile()`.
    Histogram,
}

impl Kind {
    /// Returns its name in OpenMetrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label of a metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Label {
    /// Name.
    pub name: &'static str,
    /// All values; empty if they are not listed but described.
    pub values: &'static [&'static str],
    /// Description of the values, if they are not listed.
    pub description: &'static str,
}

const fn label(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values, description: "" }
}

const UPSTREAM: Label = label("upstream", &["leadlex", "composio"]);
const LISTENER: Label = label("listener", &["public", "ops"]);
const TRANSPORT: Label = label("transport", &["http", "sse", "multipart", "websocket"]);
const STREAM: Label = label("transport", &["sse", "multipart", "websocket"]);
const OPERATION: Label = Label {
    name: "operation",
    values: &[],
    description: "the operation's name, for the first `metrics.operation_names_max` names; `other` for later ones; empty without a name; \
         `unknown` if the request was refused before the operation was known",
};
const OUTCOME: Label =
    label("outcome", &["ok", "partial", "refused", "overloaded", "crashed", "hung_up", "cut_off"]);
const CACHE: Label = label(
    "cache",
    &[
        "pages",
        "accounts",
        "totals",
        "toolkits",
        "reverse_pages",
        "providers",
        "last_known",
        "responses",
        "documents",
    ],
);
const STATUS: Label = Label { name: "status", values: &[], description: "an HTTP status, three digits" };
const VERSION: Label =
    Label { name: "version", values: &[], description: "as printed by `switchboard --version`" };
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
        "ACTIONS_DISABLED",
        "ACTIONS_RATE_LIMITED",
        "RATE_LIMITED",
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

const HEADER: Label = label(
    "header",
    &[
        "date",
        "retry-after",
        "x-ratelimit-window-size",
        "x-ratelimit-limit",
        "ratelimit-limit",
        "x-ratelimit",
        "x-ratelimit-remaining",
        "ratelimit-remaining",
        "x-ratelimit-reset",
        "ratelimit-reset",
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
        "Operations, over all transports";
    REQUEST_DURATION = Histogram "switchboard_request_duration_seconds" in "seconds" by [OPERATION, OUTCOME]:
        "Time to the response of an operation; of a subscription, to its start";
    REQUEST_ERRORS = Counter "switchboard_request_errors_total" in "" by [CODE]:
        "Operations whose response has errors, by the code of the first error";
    OPERATION_RESPONSES = Counter "switchboard_operation_responses_total" in ""
        by [label("source", &["executed", "joined", "cached"])]:
        "Responses to queries and mutations: executed, joined to an identical request in flight, or read from the response cache";
    RATE_LIMITED = Counter "switchboard_rate_limited_total" in ""
        by [label("limit", &["requests", "complexity", "upstream_calls"]), label("role", &["admin", "member"])]:
        "Operations refused by a limit over time of their caller";
    HTTP_RESPONSES = Counter "switchboard_http_responses_total" in ""
        by [label("route", &["graphql", "webhook", "page", "other"]), STATUS]:
        "Responses of the public listener";
    CONNECTIONS = Gauge "switchboard_connections_open" in "" by [LISTENER]:
        "Open connections, of at most `server.connections_max` on the public listener";
    CONNECTIONS_REFUSED = Counter "switchboard_connections_refused_total" in ""
        by [LISTENER, label("reason", &["full", "flooded", "malformed", "head_too_large"])]:
        "Connections refused before a request: limit reached (`full`: with a 503; `flooded`: disconnected), or an invalid request head";
    SUBSCRIPTIONS = Gauge "switchboard_subscriptions_open" in "" by [STREAM]:
        "Open subscriptions";
    SUBSCRIPTION_EVENTS = Counter "switchboard_subscription_events_total" in "" by [STREAM]:
        "Events sent to subscriptions";
    WATCHES = Gauge "switchboard_watches" in "" by [UPSTREAM]:
        "Credentials that are polled for changes, regardless of the number of subscribers";
    BATCH_KEYS = Histogram "switchboard_loader_batch_keys" in "keys"
        by [label("loader", &["providers", "account", "accounts", "counts", "toolkits"])]:
        "Keys in one batch of a loader";
    CACHE_READS = Counter "switchboard_cache_reads_total" in ""
        by [UPSTREAM, label("freshness", &["fresh", "stale", "stale_on_error", "miss"])]:
        "Cache reads, by the freshness of the returned entry; a miss is fetched first";
    CACHE_WEIGHT = Gauge "switchboard_cache_weight_bytes" in "bytes" by [CACHE]:
        "Size of the cached entries";
    CACHE_LIMIT = Gauge "switchboard_cache_limit_bytes" in "bytes" by [CACHE]:
        "Limit of that size";
    CALLS = Counter "switchboard_upstream_calls_total" in "" by [UPSTREAM, CALL_OUTCOME]:
        "Upstream calls, including retries; `outcome` is the error code if the call failed";
    CALL_DURATION = Histogram "switchboard_upstream_call_duration_seconds" in "seconds"
        by [UPSTREAM, label("outcome", &["ok", "failed"])]:
        "Duration of upstream calls, from sending to the last byte of the response";
    CALLS_HELD = Counter "switchboard_upstream_calls_held_total" in ""
        by [UPSTREAM, label("by", &["refused_key", "refused_request", "quota", "breaker", "concurrency"])]:
        "Upstream calls that were not sent, by the reason";
    RETRIES = Counter "switchboard_upstream_retries_total" in "" by [UPSTREAM]:
        "Retries of failed upstream calls";
    PROBLEMS = Counter "switchboard_upstream_problems_total" in "" by [UPSTREAM, RULE]:
        "Rows and values of upstream responses that are invalid or were not requested";
    UNREADABLE_HEADERS = Counter "switchboard_upstream_unreadable_headers_total" in "" by [UPSTREAM, HEADER]:
        "Rate limit and date headers of upstream responses that were not understood, and ignored";
    CALLS_UNDER_WAY = Gauge "switchboard_upstream_calls_under_way" in "" by [UPSTREAM]:
        "Upstream calls in flight";
    BREAKERS_OPEN = Gauge "switchboard_upstream_breakers_open" in "" by [UPSTREAM]:
        "Credentials whose circuit breaker is open";
    QUOTA_LIMIT = Gauge "switchboard_upstream_quota_limit_calls" in "calls" by [UPSTREAM]:
        "Calls per window of the credential with the smallest remaining share of its rate limit; absent while no rate limit is known";
    QUOTA_REMAINING = Gauge "switchboard_upstream_quota_remaining_calls" in "calls" by [UPSTREAM]:
        "Remaining calls of that window";
    QUOTA_RESET = Gauge "switchboard_upstream_quota_reset_timestamp_seconds" in "seconds" by [UPSTREAM]:
        "End of that window, in seconds since 1970";
    QUOTA_WINDOW = Gauge "switchboard_upstream_quota_window_seconds" in "seconds" by [UPSTREAM]:
        "Length of that window";
    ACTIONS = Counter "switchboard_actions_total" in ""
        by [
            label("action", &["connect", "reconnect", "enable", "rename", "revoke", "remove"]),
            label("outcome", &["ok", "refused", "failed", "unknown"])
        ]:
        "Actions on connected accounts; `refused`: not allowed, invalid or refused by Composio; `unknown`: Composio did not confirm it";
    REPLICA_COMMANDS = Counter "switchboard_replica_commands_total" in ""
        by [
            label("task", &["get", "set", "claim", "quota", "publish", "subscribe"]),
            label("outcome", &["ok", "away", "timeout", "unreachable", "locked_out", "refused"])
        ]:
        "Commands to Redis; `away`: not sent, because Redis was unreachable";
    REPLICA_READS = Counter "switchboard_replica_reads_total" in ""
        by [label("outcome", &["hit", "miss", "unreadable"])]:
        "Cache lookups in Redis";
    REPLICA_STORE_UP = Gauge "switchboard_replica_store_up" in "" by []:
        "1 if Redis is reachable, else 0; absent without `redis.url`";
    RELOADS = Counter "switchboard_config_reloads_total" in "" by [label("outcome", &["ok", "refused"])]:
        "Reloads of the configuration; `refused`: the new configuration is invalid and was not applied";
    CONFIG_IN_FORCE = Gauge "switchboard_config_in_force_timestamp_seconds" in "seconds" by []:
        "Time at which the configuration in force was loaded, in seconds since 1970";
    LOG_LINES_DROPPED = Counter "switchboard_log_lines_dropped_total" in "" by [label("reason", &["full", "failed"])]:
        "Log lines of the process that were not written; `full`: standard error was not read fast enough, `failed`: it returned an error";
    BUILD_INFO = Gauge "switchboard_build_info" in "" by [VERSION]:
        "Always 1";
    RESIDENT_MEMORY = Gauge "process_resident_memory_bytes" in "bytes" by []:
        "Resident memory of the process; absent without /proc";
    START_TIME = Gauge "process_start_time_seconds" in "seconds" by []:
        "Start time of the process, in seconds since 1970";
}
