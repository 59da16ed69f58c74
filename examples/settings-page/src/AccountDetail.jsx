// The details of one account: its actions, reasons, scopes, times, IDs to copy, and the status changes seen since the page was opened.
import { Suspense, useContext } from "react";
import { graphql, useLazyLoadQuery } from "react-relay";
import { AccountActions } from "./AccountActions.jsx";
import { changes } from "./history.js";
import { Refetches } from "./live.js";
import { CopyButton, ErrorBoundary, Fact, Icon, Skeleton } from "./marks.jsx";
import { useStore } from "./store.js";
import { Ago, Clock, Day } from "./Time.jsx";
import { schemeOf, title } from "./words.js";

export const AccountDetail = (props) => (
  <ErrorBoundary>
    <Suspense fallback={<Skeleton lines={2} />}>
      <Detail {...props} />
    </Suspense>
  </ErrorBoundary>
);

function Detail({ id }) {
  const refetches = useContext(Refetches);
  const { connectedAccount: account } = useLazyLoadQuery(
    graphql`
      query AccountDetailQuery($id: ID!) {
        connectedAccount(id: $id) {
          id
          connectedAccountId
          wordId
          alias
          displayName
          userId
          status
          createdAt
          updatedAt
          authConfig {
            id
            authScheme
            isDisabled
          }
          state {
            scopes
            expiresAt
            error
            errorDescription
          }
          health {
            reasons {
              message
              since
            }
          }
          ...AccountActions_account
        }
      }
    `,
    { id },
    { fetchPolicy: "store-and-network", fetchKey: refetches },
  );
  if (!account) return <p className="panel muted">This account no longer exists, or is not available at the moment.</p>;
  const { connectedAccountId, wordId, alias, displayName, userId, createdAt, updatedAt, authConfig, state, health } = account;
  const scheme = schemeOf(authConfig.authScheme);
  return (
    <div className="panel">
      {health.reasons.map(({ message, since }) => (
        <p key={message} className="note">
          <Icon name="alert" />
          <span>
            {message}
            {since && (
              <span className="muted">
                {" Since "}
                <Ago at={since} />.
              </span>
            )}
          </span>
        </p>
      ))}
      {state.error && (
        <p className="note">
          <Icon name="alert" /> <span>{[state.error, state.errorDescription].filter(Boolean).join(": ")}</span>
        </p>
      )}
      <dl>
        {alias && <Fact name="Name">{alias}</Fact>}
        {displayName && <Fact name="Account at the service">{displayName}</Fact>}
        {createdAt && (
          <Fact name="Connected">
            <Day at={createdAt} />
          </Fact>
        )}
        {updatedAt && (
          <Fact name="Last change">
            <Ago at={updatedAt} />
          </Fact>
        )}
        {state.expiresAt && (
          <Fact name="Token expires">
            <Clock at={state.expiresAt} />
          </Fact>
        )}
        <Fact name="Sign-in">{authConfig.isDisabled ? `${scheme}, disabled for the whole project` : scheme}</Fact>
        {state.scopes.length > 0 && (
          <Fact name="Permissions">
            {state.scopes.map((scope) => (
              <code key={scope}>{scope}</code>
            ))}
          </Fact>
        )}
      </dl>
      <dl>
        <Copyable name="Account ID" value={connectedAccountId} />
        {wordId && <Copyable name="Word ID" value={wordId} />}
        {userId && <Copyable name="User ID" value={userId} />}
        <Copyable name="Auth config ID" value={authConfig.id} />
      </dl>
      <History id={id} status={account.status} />
      <AccountActions account={account} />
    </div>
  );
}

const Copyable = ({ name, value }) => (
  <Fact name={name}>
    <code>{value}</code>
    <CopyButton text={value} label={`Copy ${name}`} isIcon />
  </Fact>
);

/** The statuses seen on this page. The graph stores no history. */
function History({ id, status }) {
  const { openedAt, byAccount } = useStore(changes);
  const seen = byAccount[id] ?? [];
  return (
    <div className="history">
      <h5>Status since this page was opened</h5>
      <ol>
        {seen.map(({ at, status, previousStatus }) => (
          <li key={at + status}>
            <Clock at={at} /> <b>{title(status)}</b> {previousStatus && <span className="muted">before: {title(previousStatus)}</span>}
          </li>
        ))}
        {seen.length === 0 && (
          <li>
            <Clock at={openedAt} /> <b>{title(status)}</b> <span className="muted">no change since</span>
          </li>
        )}
      </ol>
    </div>
  );
}
