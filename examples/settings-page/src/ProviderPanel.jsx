// What is behind an integration: its particulars, and the accounts that people connected through it, page after page.
import { Component, Suspense, useContext, useEffect, useState, useTransition } from "react";
import { graphql, useLazyLoadQuery, usePaginationFragment } from "react-relay";
import { Reading } from "./live.js";
import { Icon, PersonMark, Skeleton, State } from "./marks.jsx";
import { Ago, Clock, Day } from "./Moment.jsx";
import { brand, plural } from "./words.js";

const PAGE = 10;

export const ProviderPanel = (props) => (
  <Unreadable>
    <Suspense fallback={<Skeleton lines={3} />}>
      <Panel {...props} />
    </Suspense>
  </Unreadable>
);

/** A panel that cannot be read leaves the page around it alone. */
class Unreadable extends Component {
  state = { error: null };
  static getDerivedStateFromError = (error) => ({ error });
  render() {
    const { error } = this.state;
    return error ? <p className="panel muted">{error.message} Close and open it to try again.</p> : this.props.children;
  }
}

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
  if (!provider) return <p className="panel muted">This integration is not there any more, or cannot be read now.</p>;
  return (
    <div className="panel">
      <dl>
        {provider.accountId && <Fact name="Account" value={provider.accountId} />}
        {provider.connectedAt && <Fact name="Connected" value={<Day at={provider.connectedAt} />} />}
        {provider.lastSyncAt && <Fact name="Last sync" value={<Ago at={provider.lastSyncAt} />} />}
        {provider.scopes.length > 0 && <Fact name="Permissions" value={provider.scopes.map((scope) => <code key={scope}>{scope}</code>)} />}
      </dl>
      {[...provider.health.reasons, provider.disagreement].filter(Boolean).map(({ message }) => (
        <p key={message} className="note">
          <Icon name="alert" /> {message}
        </p>
      ))}
      <Accounts provider={provider} mine={mine} service={brand(provider.name)} />
    </div>
  );
}

const Fact = ({ name, value }) => (
  <div>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
);

const STATUSES = {
  "All accounts": null,
  Healthy: ["ACTIVE"],
  "Need somebody": ["EXPIRED", "FAILED"],
  Pending: ["INITIALIZING", "INITIATED"],
  "Switched off or revoked": ["INACTIVE", "REVOKED"],
};

function Accounts({ provider, mine, service }) {
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
            state
          }
          edges {
            node {
              id
              userId
              alias
              wordId
              updatedAt
              accountType
              statusReason
              health {
                state
                reasons {
                  message
                }
              }
            }
          }
        }
      }
    `,
    provider,
  );
  const [chosen, setChosen] = useState("All accounts");
  const [waiting, startTransition] = useTransition();
  const reading = useContext(Reading);
  const accounts = data.connectedAccounts;
  const shown = accounts?.edges.length ?? 0;
  const ask = (name, first) => {
    const statuses = STATUSES[name];
    startTransition(() => void refetch({ filter: statuses && { statuses }, first }, { fetchPolicy: "network-only" }));
  };
  // Read again with the page around it: as many as are shown, at most the 100 of one page.
  useEffect(() => {
    if (reading > 0) ask(chosen, Math.min(Math.max(shown, PAGE), 100));
  }, [reading]);
  const choose = (name) => {
    setChosen(name);
    ask(name, PAGE);
  };

  return (
    <section className="accounts" aria-label={`Accounts of ${service}`} aria-busy={waiting}>
      <div className="head">
        <h4>{mine ? "Your accounts" : "Accounts"}</h4>
        {accounts && (
          <>
            <span className="muted small">
              {accounts.totalCount !== null && `${shown} of ${plural(accounts.totalCount, "account")}`}
              {accounts.freshness && (
                <>
                  {" · as of "}
                  <Clock at={accounts.freshness.fetchedAt} />
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
      {!accounts && <p className="muted">The accounts cannot be read at the moment; the integration itself can.</p>}
      {accounts && shown === 0 && <p className="muted">{chosen === "All accounts" ? `Nobody has connected ${service} yet.` : "None of these."}</p>}
      <ul>
        {accounts?.edges.map(({ node }) => (
          <Account key={node.id} account={node} mine={mine} />
        ))}
      </ul>
      {accounts?.isComplete === false && <p className="muted small">The list ended early: its source stopped short of what it had promised.</p>}
      {hasNext && (
        <button className="quiet wide" disabled={isLoadingNext} onClick={() => loadNext(PAGE * 2)}>
          {isLoadingNext ? "Loading…" : "Load more"}
        </button>
      )}
    </section>
  );
}

function Account({ account: { userId, alias, wordId, updatedAt, accountType, statusReason, health }, mine }) {
  const [name, beside] = [mine ? null : userId, alias ?? wordId].filter(Boolean);
  return (
    <li>
      <PersonMark user={userId} />
      <span className="what">
        <span className="name">
          {name ?? "Unnamed account"} {beside && <span className="muted">{beside}</span>}
          {accountType === "SHARED" && <span className="tag">shared</span>}
        </span>
        {health.state !== "HEALTHY" && <span className="muted small">{statusReason ?? health.reasons[0]?.message}</span>}
      </span>
      <span className="muted small when">{updatedAt && <Ago at={updatedAt} />}</span>
      <span className="verdict">
        <State state={health.state} />
      </span>
    </li>
  );
}
