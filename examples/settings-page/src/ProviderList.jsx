// The filtered integrations by category. A row opens to the integration's details and accounts.
import { useEffect, useId, useRef, useState } from "react";
import { graphql, useFragment } from "react-relay";
import { AccountSearch } from "./AccountSearch.jsx";
import { Filters } from "./Filters.jsx";
import { isFiltered, NONE } from "./filters.js";
import { Icon, PersonMark, ServiceMark, State } from "./marks.jsx";
import { ProviderPanel } from "./ProviderPanel.jsx";
import { Ago } from "./Time.jsx";
import { brand, CATEGORIES, categoryOf, logoOf, plural, stateOf } from "./words.js";

export function ProviderList({ providers, filters, setFilters, waiting, mine, needing }) {
  const list = useFragment(
    graphql`
      fragment ProviderList_providers on ProviderConnection {
        totalCount
        nodes {
          id
          category
          rawCategory
          ...ProviderList_provider
        }
      }
    `,
    providers,
  );
  const groups = Map.groupBy(list?.nodes ?? [], categoryOf);
  const order = [...Object.values(CATEGORIES), ...groups.keys()];
  const sorted = [...groups].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
  return (
    <section className="providers" aria-labelledby="providers" aria-busy={waiting}>
      <div className="head">
        <h2 id="providers">All integrations</h2>
        <span className="muted" role="status">
          {list && (isFiltered(filters) ? `${plural(list.totalCount, "match", "matches")}` : list.totalCount)}
        </span>
      </div>
      {list && <Filters filters={filters} setFilters={setFilters} needing={needing} />}
      {!list && (
        <div className="card empty">
          <span className="bubble">
            <Icon name="alert" />
          </span>
          <h3>The integrations are not available</h3>
          <p>They are shown as soon as LeadLex answers. The accounts above are not affected.</p>
        </div>
      )}
      {filters.search && <AccountSearch text={filters.search} mine={mine} />}
      {list?.nodes.length === 0 && (
        <div className="card empty">
          <span className="bubble">
            <Icon name="search" />
          </span>
          <h3>{isFiltered(filters) ? "No integration matches" : "No integrations yet"}</h3>
          {isFiltered(filters) ? <button onClick={() => setFilters(NONE)}>Clear the filters</button> : <p>Integrations are listed here when the workspace connects them.</p>}
        </div>
      )}
      {!mine && sorted.length > 0 && <RingLegend />}
      {sorted.map(([category, nodes]) => (
        <section key={category} className="group" aria-label={category}>
          <h3>
            {category} <span className="muted">{nodes.length}</span>
          </h3>
          <ul className="card">
            {nodes.map((provider) => (
              <ProviderRow key={provider.id} provider={provider} mine={mine} />
            ))}
          </ul>
        </section>
      ))}
    </section>
  );
}

function ProviderRow({ provider: key, mine }) {
  const provider = useFragment(
    graphql`
      fragment ProviderList_provider on Provider {
        id
        name
        displayName
        toolkits {
          logoUrl
        }
        connected
        lastSyncAt
        errorMessage
        health {
          state
          reasons {
            message
          }
        }
        connectedAccounts(first: 4) {
          pageInfo {
            hasNextPage
          }
          nodes {
            id
            userId
            health {
              state
            }
          }
        }
      }
    `,
    key,
  );
  const [open, setOpen] = useState(false);
  const panel = useId();
  const { state, reasons } = provider.health;
  const changed = useChanged(state);
  const problem = state !== "HEALTHY" && (provider.errorMessage ?? reasons[0]?.message);
  return (
    <li className={`provider ${changed ? "changed" : ""}`}>
      <button className="row" aria-expanded={open} aria-controls={panel} onClick={() => setOpen(!open)}>
        <ServiceMark name={provider.name} logo={logoOf(provider)} />
        <span className="what">
          <span className="name">
            {brand(provider.name)} {provider.displayName && <span className="muted">{provider.displayName}</span>}
          </span>
          <span className="muted small">
            {problem ||
              (provider.lastSyncAt ? (
                <>
                  Synced <Ago at={provider.lastSyncAt} />
                </>
              ) : (
                "Not synced yet"
              ))}
          </span>
        </span>
        {!mine && <People accounts={provider.connectedAccounts} />}
        <span className="verdict">
          <State state={state} />
        </span>
        <Icon name="chevron" />
      </button>
      <span className="unseen" role="status">
        {changed && `${brand(provider.name)} changed: ${stateOf(state).label}`}
      </span>
      <div id={panel} hidden={!open}>
        {open && <ProviderPanel id={provider.id} mine={mine} />}
      </div>
    </li>
  );
}

/** The newest accounts of an integration. One upstream call reads them for all rows. */
function People({ accounts }) {
  if (!accounts?.nodes.length) return null;
  return (
    <span className="people" aria-hidden="true">
      {accounts.nodes.map(({ id, userId, health }) => (
        <PersonMark key={id} user={userId} state={health.state} />
      ))}
      {accounts.pageInfo.hasNextPage && <span className="mark person more">+</span>}
    </span>
  );
}

/** What the rings of `People` mean. */
const RingLegend = () => (
  <p className="rings muted small">
    Users of an integration; a ring marks a state:
    {["NEEDS_REAUTH", "PENDING", "DISABLED"].map((state) => (
      <span key={state}>
        <span className={`ring ${stateOf(state).tone}`} /> {stateOf(state).label.toLowerCase()}
      </span>
    ))}
  </p>
);

const CHANGED_MS = 6_000;

/** Whether the value has changed within the last seconds. */
function useChanged(value) {
  const before = useRef(value);
  const [changed, setChanged] = useState(false);
  useEffect(() => {
    if (before.current === value) return undefined;
    before.current = value;
    setChanged(true);
    const timer = setTimeout(() => setChanged(false), CHANGED_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return changed;
}
