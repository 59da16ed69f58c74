// The state of the two APIs at the bottom of the page, from `upstreams`, which costs no upstream call. It is refreshed after each
// operation and periodically while the page is visible, one request at a time.
import { useEffect, useState } from "react";
import { ask, operations } from "./fetcher.js";

const EVERY_MS = 10_000;
/** A delay, so that the calls of an operation are counted. */
const AFTER_MS = 300;

const query = `query StatusStrip {
  upstreams {
    name
    state
    quota { limit remaining resetsAt }
    cache { hits misses staleServed }
  }
}`;

const NAMES = { LEADLEX: "LeadLex", COMPOSIO: "Composio" };
const STATES = {
  UP: "up",
  DEGRADED: "partly failing",
  RATE_LIMITED: "rate-limited",
  UNAUTHORIZED: "key refused",
  DOWN: "down",
  UNKNOWN: "not called yet",
};

function useUpstreams() {
  const [state, setState] = useState({ upstreams: [], message: "Loading the state of the APIs…" });
  useEffect(() => {
    let timer;
    let isRunning = false;
    const update = async () => {
      if (isRunning || document.hidden) return;
      isRunning = true;
      const { data, errors } = await ask({ query }).catch(() => ({ errors: [{ message: "The graph is unreachable." }] }));
      isRunning = false;
      setState(data ? { upstreams: data.upstreams } : { upstreams: [], message: errors?.[0]?.message ?? "No response." });
      later(EVERY_MS);
    };
    const later = (delay) => {
      clearTimeout(timer);
      timer = setTimeout(update, delay);
    };
    const soon = () => later(AFTER_MS);
    update();
    document.addEventListener("visibilitychange", update);
    operations.addEventListener("answered", soon);
    operations.addEventListener("token", soon);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", update);
      operations.removeEventListener("answered", soon);
      operations.removeEventListener("token", soon);
    };
  }, []);
  return state;
}

export function StatusStrip() {
  const { upstreams, message } = useUpstreams();
  return (
    <footer className="status" aria-label="The two APIs">
      {message && <span>{message}</span>}
      {upstreams.map(({ name, state, quota, cache }) => (
        <span key={name} className="upstream">
          <span className={`lamp ${state.toLowerCase()}`} />
          <b>{NAMES[name] ?? name}</b> {STATES[state] ?? state}{" "}
          <Quota state={state} quota={quota} />{" "}
          {state !== "UNKNOWN" && cache && <span className="detail">{ratio(cache)}</span>}
        </span>
      ))}
    </footer>
  );
}

/** A limit per minute can be exhausted while calls of the day are left, so the two are not shown together. */
function Quota({ state, quota }) {
  if (quota?.remaining == null || (state === "RATE_LIMITED" && quota.remaining > 0)) return null;
  const until = quota.resetsAt ? new Date(quota.resetsAt).toLocaleTimeString() : undefined;
  if (quota.remaining === 0) return <span className="detail">no calls left{until && ` until ${until}`}</span>;
  return (
    <span className="detail" title={until && `until ${until}`}>
      {quota.remaining.toLocaleString("en")}
      {quota.limit != null && <span className="limit"> of {quota.limit.toLocaleString("en")}</span>} calls left
    </span>
  );
}

/** The share of reads that the cache served. */
function ratio({ hits, misses, staleServed }) {
  const all = hits + misses + staleServed;
  return `${all > 0 ? Math.round((100 * (hits + staleServed)) / all) : 0} % from cache`;
}
