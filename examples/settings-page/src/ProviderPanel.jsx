// The details of an integration, and the accounts that users connected through it, page by page.
import { Suspense, useContext, useEffect, useState, useTransition } from "react";
import { graphql, useLazyLoadQuery, usePaginationFragment } from "react-relay";
import { AccountRow } from "./AccountRow.jsx";
import { Refetches } from "./live.js";
import { ErrorBoundary, Fact, Icon, Skeleton } from "./marks.jsx";
import { Ago, Day } from "./Time.jsx";
import { ACCOUNT_STATUSES, brand, plural } from "./words.js";

const PAGE = 10;

export const ProviderPanel = (props) => (
  <ErrorBoundary>
    <Suspense fallback={<Skeleton lines={3} />}>
      <Panel {...props} />
    </Suspense>
  </ErrorBoundary>
);

function Panel({ id, mine }) {
  const { provider } = useLazyLoadQuery(
    graphql`
      query ProviderPanelQuery($id: ID!) {
        provider(id: $id) {
          name
          accountId
          connectedAt
          lastSyncAt
          scopes
          toolkits {
            providers {
              id
              name
              displayName
            }
          }
          disagreement {
            message
          }
          health {
            reasons {
              code
              message
            }
          }
          ...ProviderPanel_accounts
        }
      }
    `,
    { id },
    { fetchPolicy: "store-and-network" },
  );
  if (!provider) return <p className="panel muted">This integration no longer exists, or is not available at the moment.</p>;
  const { name, accountId, connectedAt, lastSyncAt, scopes, toolkits, health, disagreement } = provider;
  const others = toolkits.flatMap(({ providers }) => providers ?? []).filter((other) => other.id !== id && other.name === name);
  return (
    <div className="panel">
      <dl>
        {accountId && <Fact name="Account">{accountId}</Fact>}
        {connectedAt && (
          <Fact name="Connected">
            <Day at={connectedAt} />
          </Fact>
        )}
        {lastSyncAt && (
          <Fact name="Last sync">
            <Ago at={lastSyncAt} />
          </Fact>
        )}
        {scopes.length > 0 && (
          <Fact name="Permissions">
            {scopes.map((scope) => (
              <code key={scope}>{scope}</code>
            ))}
          </Fact>
        )}
      </dl>
      {[...health.reasons, disagreement].filter(Boolean).map(({ message }) => (
        <p key={message} className="note">
          <Icon name="alert" /> {message}
        </p>
      ))}
      <Accounts provider={provider} mine={mine} service={brand(name)} others={others} />
    </div>
  );
}

const ALL = "All accounts";
const STATUSES = {
  [ALL]: null,
  ...Object.fromEntries(Object.values(ACCOUNT_STATUSES).map(({ label, statuses }) => [label, statuses])),
};

function Accounts({ provider, mine, service, others }) {
  const { data, loadNext, hasNext, isLoadingNext, refetch } = usePaginationFragment(
    graphql`
      fragment ProviderPanel_accounts on Provider
      @refetchable(queryName: "ProviderPanelAccountsQuery")
      @argumentDefinitions(
        first: { type: "Int", defaultValue: 10 }
        after: { type: "String" }
        filter: { type: "ProviderAccountFilter" }
      ) {
        connectedAccounts(first: $first, after: $after, filter: $filter) @connection(key: "ProviderPanel_connectedAccounts") {
          totalCount
          isComplete
          freshness {
            fetchedAt
          }
          edges {
            node {
              id
              ...AccountRow_account
            }
          }
        }
      }
    `,
    provider,
  );
  const [chosen, setChosen] = useState(ALL);
  const [waiting, startTransition] = useTransition();
  const refetches = useContext(Refetches);
  const accounts = data.connectedAccounts;
  const shown = accounts?.edges.length ?? 0;
  const load = (name, first) => {
    const statuses = STATUSES[name];
    startTransition(() => void refetch({ filter: statuses && { statuses }, first }, { fetchPolicy: "network-only" }));
  };
  // Refetched with the page: as many as are shown, at most the 100 of one page.
  useEffect(() => {
    if (refetches > 0) load(chosen, Math.min(Math.max(shown, PAGE), 100));
  }, [refetches]);
  const choose = (name) => {
    setChosen(name);
    load(name, PAGE);
  };

  return (
    <section className="accounts" aria-label={`Accounts of ${service}`} aria-busy={waiting}>
      <div className="head">
        <h4>
          {mine ? "Your accounts" : "Accounts"}
          {others.length > 0 && <span className="tag">{sharedBy(service, others)}</span>}
        </h4>
        {accounts && (
          <>
            <span className="muted small">
              {accounts.totalCount !== null && `${shown} of ${plural(accounts.totalCount, "account")}`}
              {accounts.freshness && (
                <>
                  {" · updated "}
                  <Ago at={accounts.freshness.fetchedAt} />
                </>
              )}
            </span>
            <select aria-label={`Which accounts of ${service}`} value={chosen} onChange={(event) => choose(event.target.value)}>
              {Object.keys(STATUSES).map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </>
        )}
      </div>
      {!accounts && <p className="muted">The accounts are not available at the moment.</p>}
      {accounts && shown === 0 && <p className="muted">{chosen === "All accounts" ? `No user has connected ${service} yet.` : "No account has this status."}</p>}
      <ul>
        {accounts?.edges.map(({ node }) => (
          <AccountRow key={node.id} account={node} mine={mine} />
        ))}
      </ul>
      {accounts?.isComplete === false && <p className="muted small">The list is incomplete: the API returned fewer accounts than it announced.</p>}
      {hasNext && (
        <button className="quiet wide" disabled={isLoadingNext} onClick={() => loadNext(PAGE * 2)}>
          {isLoadingNext ? "Loading…" : "Load more"}
        </button>
      )}
    </section>
  );
}

/** Accounts belong to a service, so that all its integrations list the same ones. */
const sharedBy = (service, others) =>
  `shared by ${service}${others.length === 1 && others[0].displayName ? ` “${others[0].displayName}”` : ` (${plural(others.length, "other integration")})`}`;
