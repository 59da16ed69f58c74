// The age of the data by source, whether the page updates live, and a button that refreshes the data.
import { useState } from "react";
import { commitMutation, graphql, useFragment, useRelayEnvironment } from "react-relay";
import { outages } from "./environment.js";
import { Icon } from "./marks.jsx";
import { useStore } from "./store.js";
import { Ago, Clock, timeOfDay, useNow } from "./Time.jsx";
import { plural, problemOf, SOURCES } from "./words.js";

const FRESHNESS = {
  FRESH: { label: "up to date", tone: "good" },
  STALE: { label: "stale", tone: "warn" },
  STALE_ON_ERROR: { label: "last known", tone: "bad" },
};

const GRACE_MS = 5_000;

export function Sources({ upstreams, freshness, due, mode, error, admin, reload }) {
  const known = useFragment(
    graphql`
      fragment Sources_upstreams on Upstream @relay(plural: true) {
        name
        state
        quota {
          limit
          remaining
        }
      }
    `,
    upstreams,
  );
  const failing = useStore(outages);
  const missing = known.filter((upstream) => problemOf(upstream, failing[upstream.name], freshness[upstream.name]));
  const { label, tone } = error ? { label: "Not connected", tone: "bad" } : liveLabel(mode, missing, known);
  return (
    <div className="sources">
      <ul>
        {known.map(({ name, quota }) => (
          <Source key={name} name={name} quota={quota} freshness={freshness[name]} due={due[name]} />
        ))}
      </ul>
      <div className="actions">
        <span className={`mode ${tone}`}>{label}</span>
        {admin && <Refresh reload={reload} />}
      </div>
    </div>
  );
}

function liveLabel(mode, missing, known) {
  if (mode === "offline") return { label: "Offline", tone: "bad" };
  if (missing.length === known.length && known.length > 0) return { label: "No updates at the moment", tone: "bad" };
  const except = missing.map(({ name }) => (SOURCES[name]?.what ?? name).toLowerCase());
  if (except.length > 0) return { label: `No updates of ${except.join(" and ")}`, tone: "warn" };
  return mode === "live" ? { label: "Live", tone: "good live" } : { label: "Updates periodically", tone: "idle" };
}

function Source({ name, quota, freshness, due }) {
  const now = useNow(2_000);
  const { what } = SOURCES[name] ?? { what: name };
  // Data that has just expired is being refreshed, so it is not called stale yet.
  const isRefreshing = freshness?.state === "STALE" && due <= now && due > now - GRACE_MS;
  const { label, tone } = FRESHNESS[isRefreshing ? "FRESH" : freshness?.state] ?? { label: "not available", tone: "bad" };
  const isLow = quota?.remaining != null && quota.limit && quota.remaining < quota.limit / 5;
  const next = due > now ? `, next update ${timeOfDay(due)}` : "";
  return (
    <li>
      <span className={`dot ${tone}`} />
      <b>{what}</b>{" "}
      {freshness ? (
        <>
          updated <Ago at={freshness.fetchedAt} title={`Fetched ${timeOfDay(freshness.fetchedAt)}${next}`} />
        </>
      ) : (
        label
      )}
      {freshness && tone !== "good" && <em className={tone}>{label}</em>}
      {isLow && <em className="warn">{plural(quota.remaining, "call")} left</em>}
    </li>
  );
}

const refreshMutation = graphql`
  mutation SourcesRefreshMutation {
    refresh {
      retryAt
    }
  }
`;

function Refresh({ reload }) {
  const environment = useRelayEnvironment();
  const now = useNow(5_000);
  const [state, setState] = useState({ busy: false, retryAt: 0 });
  const isLimited = state.retryAt > now;

  const refresh = async () => {
    setState({ busy: true, retryAt: 0 });
    const retryAt = await new Promise((resolve) =>
      commitMutation(environment, {
        mutation: refreshMutation,
        variables: {},
        onCompleted: (data) => resolve(data?.refresh?.retryAt ? Date.parse(data.refresh.retryAt) : 0),
        onError: (error) => resolve(error.retryAt ?? 0),
      }),
    );
    await reload();
    setState({ busy: false, retryAt });
  };

  return (
    <>
      <span className="limited" role="status">
        {isLimited && (
          <>
            Next refresh possible at <Clock at={state.retryAt} />
          </>
        )}
      </span>
      <button onClick={refresh} disabled={state.busy || isLimited} aria-busy={state.busy}>
        <Icon name="refresh" /> {state.busy ? "Refreshing…" : "Refresh"}
      </button>
    </>
  );
}
