// The workspace at a glance: how many integrations and accounts are in which state.
import { graphql, useFragment } from "react-relay";
import { plural, stateOf, STATES, STATUS_STATES } from "./words.js";

export function Overview({ health, mine, choose }) {
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
      <Counts one="integration" many="integrations" counts={providerCounts} states={STATUS_STATES.provider} choose={choose} />
      <Counts one={mine ? "account of yours" : "account"} many={mine ? "accounts of yours" : "accounts"} counts={accountCounts} states={STATUS_STATES.account} />
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

function Counts({ one, many, counts, states, choose }) {
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
      <h2>{plural(total, one, many)}</h2>
      <div className="stack" aria-hidden="true">
        {sums.map(([state, count]) => (
          <span key={state} className={stateOf(state).tone} style={{ flexGrow: count }} />
        ))}
      </div>
      <ul className="legend">
        {sums.map(([state, count]) => (
          <li key={state}>
            {choose ? (
              <button className="link" onClick={() => choose(state)} title="Show these alone">
                <span className={`dot ${stateOf(state).tone}`} /> {stateOf(state).label} <b>{count}</b>
              </button>
            ) : (
              <>
                <span className={`dot ${stateOf(state).tone}`} /> {stateOf(state).label} <b>{count.toLocaleString("en")}</b>
              </>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
