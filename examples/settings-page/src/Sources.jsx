// How old the data is, by source, and a button that has it read again.
import { useState } from "react";
import { commitMutation, graphql, useFragment, useRelayEnvironment } from "react-relay";
import { Icon } from "./marks.jsx";
import { Clock, useNow } from "./Moment.jsx";
import { plural, SOURCES } from "./words.js";

const FRESHNESS = {
  FRESH: { label: "up to date", tone: "good" },
  STALE: { label: "stale", tone: "warn" },
  STALE_ON_ERROR: { label: "last known", tone: "bad" },
};

const GRACE_MS = 5_000;

export function Sources({ upstreams, freshness, due, mode, admin, reload }) {
  const known = useFragment(
    graphql`
      fragment Sources_upstreams on Upstream @relay(plural: true) {
        name
        quota {
          limit
          remaining
        }
      }
    `,
    upstreams,
  );
  return (
    <div className="sources">
      <ul>
        {known.map(({ name, quota }) => (
          <Source key={name} name={name} quota={quota} freshness={freshness[name]} due={due[name]} />
        ))}
      </ul>
      <div className="actions">
        <span className={`mode ${mode}`}>{mode === "live" ? "Live" : "Updates by itself"}</span>
        {admin && <Refresh reload={reload} />}
      </div>
    </div>
  );
}

function Source({ name, quota, freshness, due }) {
  const now = useNow(2_000);
  const { what } = SOURCES[name] ?? { what: name };
  // What is due this very moment is being read behind the answer: no word of that.
  const underWay = freshness?.state === "STALE" && due <= now && due > now - GRACE_MS;
  const { label, tone } = FRESHNESS[underWay ? "FRESH" : freshness?.state] ?? { label: "not read", tone: "bad" };
  const low = quota?.remaining != null && quota.limit && quota.remaining < quota.limit / 5;
  return (
    <li>
      <span className={`dot ${tone}`} />
      <b>{what}</b>{" "}
      {freshness ? (
        <>
          as of <Clock at={freshness.fetchedAt} />
        </>
      ) : (
        label
      )}
      {due > now && (
        <>
          , next read <Clock at={due} />
        </>
      )}
      {freshness && tone !== "good" && <em className={tone}>{label}</em>}
      {low && <em className="warn">{plural(quota.remaining, "call")} left</em>}
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
  const held = state.retryAt > now;

  const refresh = async () => {
    setState({ busy: true, retryAt: 0 });
    const retryAt = await new Promise((resolve) =>
      commitMutation(environment, {
        mutation: refreshMutation,
        variables: {},
        onCompleted: ({ refresh }) => resolve(refresh.retryAt ? Date.parse(refresh.retryAt) : 0),
        onError: (error) => resolve(error.retryAt ?? 0),
      }),
    );
    await reload();
    setState({ busy: false, retryAt });
  };

  return (
    <>
      <span className="held" role="status">
        {held && (
          <>
            Refresh again from <Clock at={state.retryAt} />
          </>
        )}
      </span>
      <button onClick={refresh} disabled={state.busy || held} aria-busy={state.busy}>
        <Icon name="refresh" /> {state.busy ? "Refreshing…" : "Refresh"}
      </button>
    </>
  );
}
