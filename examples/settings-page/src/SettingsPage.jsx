// The page: one query for the data of both APIs, refetched when it may have changed.
import { useDeferredValue, useEffect, useState } from "react";
import { commitMutation, fetchQuery, graphql, useLazyLoadQuery, useRelayEnvironment } from "react-relay";
import { Page } from "./actions.js";
import { Attention } from "./Attention.jsx";
import { outages } from "./environment.js";
import { asInput, useFilters } from "./filters.js";
import { Refetches, useLive } from "./live.js";
import { Overview } from "./Overview.jsx";
import { ProviderList } from "./ProviderList.jsx";
import { Sources } from "./Sources.jsx";
import { useStore } from "./store.js";
import { Troubles } from "./Troubles.jsx";

/** The viewer and the state of the two APIs. It costs no upstream call, and is read after the data, whose calls it describes. */
const sourcesQuery = graphql`
  query SettingsPageSourcesQuery {
    viewer {
      role
      name
      user {
        id
      }
      actions
    }
    upstreams {
      ...Sources_upstreams
      ...Troubles_upstreams
    }
  }
`;

const pageQuery = graphql`
  query SettingsPageQuery($filter: ProviderFilter, $attention: Int!) {
    ...Overview_providers
    integrationHealth {
      ...Overview_health
      ...Attention_health @arguments(count: $attention)
      accountsNeedingAttention(first: $attention) {
        freshness {
          fetchedAt
          state
          refreshDueAt
        }
      }
    }
    needing: providers(first: 1, filter: { needsAttention: true }) {
      totalCount
    }
    providers(first: 100, filter: $filter, orderBy: { field: NAME }) {
      freshness {
        fetchedAt
        state
        refreshDueAt
      }
      ...ProviderList_providers
    }
  }
`;

const refreshMutation = graphql`
  mutation SettingsPageRefreshMutation {
    refresh(upstream: COMPOSIO) {
      retryAt
    }
  }
`;

/** The delay of the next attempt if no response names one. */
const RETRY_MS = 15_000;
/** Accounts that need attention: at first, and more with each click. */
const ATTENTION = { first: 10, more: 40, max: 100 };

/** When a refetch of a part may help: when its data is due, or when the failing API is called again. */
const dueAt = (freshness, outage, loadedAt) =>
  freshness ? Date.parse(freshness.refreshDueAt) : (outage?.retryAt ?? loadedAt + RETRY_MS);

export function SettingsPage({ attempt }) {
  const environment = useRelayEnvironment();
  const [filters, setFilters] = useFilters();
  const [attention, setAttention] = useState(ATTENTION.first);
  const wanted = { filter: asInput(filters), attention };
  // The previous response stays until the next one arrives.
  const variables = JSON.parse(useDeferredValue(JSON.stringify(wanted)));
  const waiting = JSON.stringify(wanted) !== JSON.stringify(variables);

  const options = { fetchKey: attempt, fetchPolicy: "store-or-network" };
  const { viewer, upstreams } = useLazyLoadQuery(sourcesQuery, {}, options);
  const page = useLazyLoadQuery(pageQuery, variables, options);
  const { integrationHealth, providers } = page;
  const needing = page.needing?.totalCount;

  const [loaded, setLoaded] = useState({ times: 0, at: Date.now(), error: null });
  const reload = async () => {
    const read = (query, variables) =>
      fetchQuery(environment, query, variables, { networkCacheConfig: { force: true } }).toPromise();
    let failure = null;
    try {
      await read(pageQuery, variables);
      await read(sourcesQuery, {});
    } catch (error) {
      failure = error;
    }
    setLoaded(({ times }) => ({ times: times + 1, at: Date.now(), error: failure }));
  };

  // After a sign-in on another page, which Switchboard notices with the next poll. Members may not refresh.
  const refresh = () =>
    new Promise((done) => commitMutation(environment, { mutation: refreshMutation, variables: {}, onCompleted: done, onError: done })).then(reload);

  // Once more after the first data, because its calls change the state of the APIs.
  useEffect(() => {
    const request = fetchQuery(environment, sourcesQuery, {}).subscribe({ error() {} });
    return () => request.unsubscribe();
  }, [environment]);

  const freshness = { LEADLEX: providers?.freshness, COMPOSIO: integrationHealth.accountsNeedingAttention?.freshness };
  const failing = useStore(outages);
  const due = {
    LEADLEX: dueAt(freshness.LEADLEX, failing.LEADLEX, loaded.at),
    COMPOSIO: dueAt(freshness.COMPOSIO, failing.COMPOSIO, loaded.at),
  };
  const mode = useLive(Math.min(due.LEADLEX, due.COMPOSIO), reload);
  const mine = viewer.user !== null;

  const more = () => setAttention(Math.min(attention + ATTENTION.more, ATTENTION.max));

  return (
    <Refetches value={loaded.times}>
      <Page value={{ reload, refresh: viewer.role === "ADMIN" ? refresh : reload, mine, actions: viewer.actions }}>
        <div className="title">
          <div>
            <h1>Integrations</h1>
            <p>
              {mine
                ? `Signed in as ${viewer.name}: the workspace’s services, and your own accounts.`
                : "The workspace’s services, and the accounts that users connected to them."}
            </p>
          </div>
          <Sources
            upstreams={upstreams}
            freshness={freshness}
            due={due}
            mode={mode}
            error={loaded.error}
            admin={viewer.role === "ADMIN"}
            reload={reload}
          />
        </div>
        <Troubles upstreams={upstreams} freshness={freshness} due={due} error={loaded.error} />
        <Overview query={page} health={integrationHealth} mine={mine} filters={filters} setFilters={setFilters} />
        <Attention health={integrationHealth} needing={needing} mine={mine} count={attention} more={more} />
        <ProviderList
          providers={providers}
          filters={filters}
          setFilters={setFilters}
          waiting={waiting}
          mine={mine}
          needing={needing}
        />
      </Page>
    </Refetches>
  );
}
