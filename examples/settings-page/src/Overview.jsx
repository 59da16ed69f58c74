// The workspace at a glance: the number of integrations and accounts in each state. A state of integrations is also a filter of the
// list below, with the same count.
import { graphql, useFragment } from "react-relay";
import { ACCOUNT_STATUSES, plural, PROVIDER_STATES, SOURCES, stateOf } from "./words.js";

/** Counts by `health`, as the list shows it, and not by status: an integration with an old sync is degraded. */
export function useProviderCounts(query) {
  const counts = useFragment(
    graphql`
      fragment Overview_providers on Query {
        HEALTHY: providers(first: 1, filter: { healthStates: [HEALTHY] }) {
          totalCount
        }
        DEGRADED: providers(first: 1, filter: { healthStates: [DEGRADED] }) {
          totalCount
        }
        NEEDS_REAUTH: providers(first: 1, filter: { healthStates: [NEEDS_REAUTH] }) {
          totalCount
        }
        DISCONNECTED: providers(first: 1, filter: { healthStates: [DISCONNECTED] }) {
          totalCount
        }
        UNKNOWN: providers(first: 1, filter: { healthStates: [UNKNOWN] }) {
          totalCount
        }
      }
    `,
    query,
  );
  if (PROVIDER_STATES.some((state) => !counts[state])) return null;
  return PROVIDER_STATES.map((state) => ({ key: state, ...stateOf(state), count: counts[state].totalCount }));
}

function useAccountCounts(health) {
  const { accountCounts } = useFragment(
    graphql`
      fragment Overview_health on IntegrationHealth {
        accountCounts {
          status
          count
        }
      }
    `,
    health,
  );
  if (!accountCounts) return null;
  const groups = Object.entries(ACCOUNT_STATUSES);
  const groupOf = (status) => (groups.find(([, { statuses }]) => statuses.includes(status)) ?? groups.at(-1))[0];
  return groups.map(([key, { label, tone }]) => ({
    key,
    label,
    tone,
    count: accountCounts.filter(({ status }) => groupOf(status) === key).reduce((sum, { count }) => sum + count, 0),
  }));
}

export function Overview({ query, health, mine, filters, setFilters }) {
  const filter = { chosen: filters.state, choose: (state) => setFilters({ ...filters, state: state === filters.state ? "" : state }) };
  return (
    <div className="overview">
      <Counts one="integration" many="integrations" source="LEADLEX" counts={useProviderCounts(query)} filter={filter} />
      <Counts
        one={mine ? "account of yours" : "account"}
        many={mine ? "accounts of yours" : "accounts"}
        source="COMPOSIO"
        counts={useAccountCounts(health)}
      />
    </div>
  );
}

function Counts({ one, many, source, counts, filter }) {
  if (!counts) {
    return (
      <section className="card counts">
        <h2>Number of {many} unknown</h2>
        <p className="muted">{SOURCES[source].name} is not available.</p>
      </section>
    );
  }
  const shown = counts.filter(({ key, count }) => count > 0 || key === filter?.chosen);
  const total = shown.reduce((sum, { count }) => sum + count, 0);
  return (
    <section className="card counts">
      <h2>
        {plural(total, one, many)} <span className="muted small">from {SOURCES[source].name}</span>
      </h2>
      <div className="stack" aria-hidden="true">
        {shown.map(({ key, tone, count }) => (
          <span key={key} className={tone} style={{ flexGrow: count }} />
        ))}
      </div>
      <ul className="legend">
        {shown.map(({ key, label, tone, count }) => {
          const text = (
            <>
              <span className={`dot ${tone}`} /> {label} <b>{count.toLocaleString("en")}</b>
            </>
          );
          return (
            <li key={key}>
              {filter ? (
                <button className="quiet chip" aria-pressed={filter.chosen === key} onClick={() => filter.choose(key)}>
                  {text}
                </button>
              ) : (
                text
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
