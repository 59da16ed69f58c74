// The page: one query for all that it shows of the two APIs, asked again whenever there may be something new.
import { useDeferredValue, useEffect, useState } from "react";
import { fetchQuery, graphql, useLazyLoadQuery, useRelayEnvironment } from "react-relay";
import { Attention } from "./Attention.jsx";
import { outages } from "./environment.js";
import { asInput, useFilters } from "./filters.js";
import { Reading, useLive } from "./live.js";
import { Overview } from "./Overview.jsx";
import { ProviderList } from "./ProviderList.jsx";
import { Sources } from "./Sources.jsx";
import { useStore } from "./store.js";
import { Troubles } from "./Troubles.jsx";

/** What is known of the sources, which costs no upstream call; asked after the data, as it tells of the calls for it. */
const sourcesQuery = graphql`
  query SettingsPageSourcesQuery {
    viewer {
      role
      name
      user {
        id
      }
    }
    upstreams {
      ...Sources_upstreams
      ...Troubles_upstreams
    }
  }
`;

const pageQuery = graphql`
  query SettingsPageQuery($filter: ProviderFilter, $attention: Int!) {
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

/** When nothing says when the next answer may be another one. */
const WITHOUT_WORD_MS = 15_000;
const FIRST = 5;

/** When asking for a part again may help: when it is due, or when the API that it is missing from is to be tried. */
const dueAt = (freshness, outage, readAt) =>
  freshness ? Date.parse(freshness.refreshDueAt) : (outage?.retryAt ?? readAt + WITHOUT_WORD_MS);

export function SettingsPage({ attempt }) {
  const environment = useRelayEnvironment();
  const [filters, setFilters] = useFilters();
  const [attention, setAttention] = useState(FIRST);
  const asked = { filter: asInput(filters), attention };
  // While the next answer is on its way, the one before stays.
  const variables = JSON.parse(useDeferredValue(JSON.stringify(asked)));
  const waiting = JSON.stringify(asked) !== JSON.stringify(variables);

  const options = { fetchKey: attempt, fetchPolicy: "store-or-network" };
  const { viewer, upstreams } = useLazyLoadQuery(sourcesQuery, {}, options);
  const { integrationHealth, providers } = useLazyLoadQuery(pageQuery, variables, options);

  const [reading, setReading] = useState({ times: 0, at: Date.now(), lost: null });
  const reload = async () => {
    const read = (query, variables) =>
      fetchQuery(environment, query, variables, { networkCacheConfig: { force: true } }).toPromise();
    let lost = null;
    try {
      await read(pageQuery, variables);
      await read(sourcesQuery, {});
    } catch (error) {
      lost = error;
    }
    setReading(({ times }) => ({ times: times + 1, at: Date.now(), lost }));
  };

  // Once more after the first data, for what its calls have shown.
  useEffect(() => {
    const reading = fetchQuery(environment, sourcesQuery, {}).subscribe({ error() {} });
    return () => reading.unsubscribe();
  }, [environment]);

  const freshness = { LEADLEX: providers?.freshness, COMPOSIO: integrationHealth.accountsNeedingAttention?.freshness };
  const out = useStore(outages);
  const due = {
    LEADLEX: dueAt(freshness.LEADLEX, out.LEADLEX, reading.at),
    COMPOSIO: dueAt(freshness.COMPOSIO, out.COMPOSIO, reading.at),
  };
  const mode = useLive(Math.min(due.LEADLEX, due.COMPOSIO), reload);
  const mine = viewer.user !== null;

  return (
    <Reading value={reading.times}>
      <div className="title">
        <div>
          <h1>Integrations</h1>
          <p>{mine ? `Signed in as ${viewer.name}: the workspace’s services, and your own accounts.` : "The workspace’s services, and the accounts that people connected to them."}</p>
        </div>
        <Sources upstreams={upstreams} freshness={freshness} due={due} mode={mode} admin={viewer.role === "ADMIN"} reload={reload} />
      </div>
      <Troubles upstreams={upstreams} freshness={freshness} due={due} lost={reading.lost} />
      <Overview health={integrationHealth} mine={mine} />
      <Attention health={integrationHealth} mine={mine} count={attention} more={() => setAttention(Math.min(attention + 20, 100))} />
      <ProviderList providers={providers} filters={filters} setFilters={setFilters} waiting={waiting} mine={mine} />
    </Reading>
  );
}
