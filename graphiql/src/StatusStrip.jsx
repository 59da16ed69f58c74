// The state of the two APIs at the bottom of the page, from `upstreams`, which costs no upstream call. It is refreshed after each
// operation and periodically while the page is visible, one request at a time.
import { useEffect, useState } from "react";
import { ask, operations } from "./fetcher.js";

const EVERY_MS = 10_000;
/** A delay, so that the calls of an operation are counted. */
const AFTER_MS = 300;

const question = `query StatusStrip {
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
  const [known, setKnown] = useState({ upstreams: [], word: "Loading the state of the APIs…" });
  useEffect(() => {
    let timer;
    let underWay = false;
    const look = async () => {
      if (underWay || document.hidden) return;
      underWay = true;
      const { data, errors } = await ask({ query: question }).catch(() => ({ errors: [{ message: "The graph is unreachable." }] }));
      underWay = false;
      setKnown(data ? { upstreams: data.upstreams } : { upstreams: [], word: errors?.[0]?.message ?? "No response." });
      later(EVERY_MS);
    };
    const later = (delay) => {
      clearTimeout(timer);
      timer = setTimeout(look, delay);
    };
    const soon = () => later(AFTER_MS);
    look();
    document.addEventListener("visibilitychange", look);
    operations.addEventListener("answered", soon);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
      operations.removeEventListener("answered", soon);
    };
  }, []);
  return known;
}

export function StatusStrip() {
  const { upstreams, word } = useUpstreams();
  return (
    <footer className="status" aria-label="The two APIs">
      {word && <span>{word}</span>}
      {upstreams.map(({ name, state, quota, cache }) => (
        <span key={name} className="upstream">
          <span className={`lamp ${state.toLowerCase()}`} />
          <b>{NAMES[name] ?? name}</b> {STATES[state] ?? state}{" "}
          {quota?.remaining != null && (
            <span className="detail" title={quota.resetsAt ? `until ${new Date(quota.resetsAt).toLocaleTimeString()}` : undefined}>
              {quota.remaining.toLocaleString("en")}
              {quota.limit != null && <span className="limit"> of {quota.limit.toLocaleString("en")}</span>} calls left
            </span>
          )}{" "}
          {state !== "UNKNOWN" && cache && <span className="detail">{ratio(cache)}</span>}
        </span>
      ))}
    </footer>
  );
}

/** The share of reads that the cache served. */
function ratio({ hits, misses, staleServed }) {
  const all = hits + misses + staleServed;
  return `${all > 0 ? Math.round((100 * (hits + staleServed)) / all) : 0} % from cache`;
}
