// The workspace at a glance: how many integrations and accounts are in which state.
import { graphql, useFragment } from "react-relay";
import { plural, SOURCES, stateOf, STATES, STATUS_STATES } from "./words.js";

export function Overview({ health, mine }) {
  const { providerCounts, accountCounts } = useFragment(
    graphql`
      fragment Overview_health on IntegrationHealth {
        providerCounts {
          status
          count
        }
        accountCounts {
          status
          count
        }
      }
    `,
    health,
  );
  return (
    <div className="overview">
      <Counts one="integration" many="integrations" source="LEADLEX" counts={providerCounts} states={STATUS_STATES.provider} />
      <Counts
        one={mine ? "account of yours" : "account"}
        many={mine ? "accounts of yours" : "accounts"}
        source="COMPOSIO"
        counts={accountCounts}
        states={STATUS_STATES.account}
      />
    </div>
  );
}

/** Counts are by the API's own statuses; several of them can come to one state. */
function byState(counts, states) {
  const sums = new Map(Object.keys(STATES).map((state) => [state, 0]));
  for (const { status, count } of counts) {
    const state = states[status] ?? "UNKNOWN";
    sums.set(state, sums.get(state) + count);
  }
  return [...sums].filter(([, count]) => count > 0);
}

function Counts({ one, many, source, counts, states }) {
  if (!counts) {
    return (
      <section className="card counts">
        <h2>The {many}</h2>
        <p className="muted">They cannot be counted at the moment.</p>
      </section>
    );
  }
  const sums = byState(counts, states);
  const total = sums.reduce((sum, [, count]) => sum + count, 0);
  return (
    <section className="card counts">
      <h2>
        {plural(total, one, many)} <span className="muted small">as {SOURCES[source].name} reports them</span>
      </h2>
      <div className="stack" aria-hidden="true">
        {sums.map(([state, count]) => (
          <span key={state} className={stateOf(state).tone} style={{ flexGrow: count }} />
        ))}
      </div>
      <ul className="legend">
        {sums.map(([state, count]) => (
          <li key={state}>
            <span className={`dot ${stateOf(state).tone}`} /> {stateOf(state).label} <b>{count.toLocaleString("en")}</b>
          </li>
        ))}
      </ul>
    </section>
  );
}
