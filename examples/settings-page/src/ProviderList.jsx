// The integrations by category, narrowed by filters. A row opens to what is behind it.
import { useEffect, useId, useRef, useState } from "react";
import { graphql, useFragment } from "react-relay";
import { Filters } from "./Filters.jsx";
import { isNarrowed, NONE } from "./filters.js";
import { Icon, PersonMark, ServiceMark, State } from "./marks.jsx";
import { Ago } from "./Moment.jsx";
import { ProviderPanel } from "./ProviderPanel.jsx";
import { brand, CATEGORIES, categoryOf, plural, stateOf } from "./words.js";

export function ProviderList({ providers, filters, setFilters, waiting, mine }) {
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
          {list && (isNarrowed(filters) ? `${plural(list.totalCount, "match", "matches")}` : list.totalCount)}
        </span>
      </div>
      {list && <Filters filters={filters} setFilters={setFilters} />}
      {!list && (
        <div className="card empty">
          <span className="bubble">
            <Icon name="alert" />
          </span>
          <h3>The integrations cannot be read</h3>
          <p>They come back by themselves as soon as LeadLex answers. The accounts above are not concerned.</p>
        </div>
      )}
      {list?.nodes.length === 0 && (
        <div className="card empty">
          <span className="bubble">
            <Icon name="search" />
          </span>
          <h3>{isNarrowed(filters) ? "Nothing matches" : "No integrations yet"}</h3>
          {isNarrowed(filters) ? <button onClick={() => setFilters(NONE)}>Clear the filters</button> : <p>What the workspace connects will be listed here.</p>}
        </div>
      )}
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
  const trouble = state !== "HEALTHY" && (provider.errorMessage ?? reasons[0]?.message);
  return (
    <li className={`provider ${changed ? "changed" : ""}`}>
      <button className="row" aria-expanded={open} aria-controls={panel} onClick={() => setOpen(!open)}>
        <ServiceMark name={provider.name} />
        <span className="what">
          <span className="name">
            {brand(provider.name)} {provider.displayName && <span className="muted">{provider.displayName}</span>}
          </span>
          <span className="muted small">
            {trouble ||
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

/** The newest accounts behind an integration; read for all rows in one upstream call. */
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

const CHANGED_MS = 6_000;

/** Whether the value became another one a moment ago. */
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
