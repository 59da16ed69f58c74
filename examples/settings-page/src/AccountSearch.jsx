// Accounts by the exact ID of their user or of the account. The API has no search by a part of an ID.
import { Suspense, useContext } from "react";
import { graphql, useLazyLoadQuery } from "react-relay";
import { AccountRow } from "./AccountRow.jsx";
import { Refetches } from "./live.js";
import { ErrorBoundary } from "./marks.jsx";
import { plural } from "./words.js";

/** Shorter texts are the beginning of an ID; a comma cannot occur in one. */
const isId = (text) => text.length >= 3 && !text.includes(",");

export function AccountSearch({ text, mine }) {
  const id = text.trim();
  if (mine || !isId(id)) return null;
  return (
    <ErrorBoundary key={id}>
      <Suspense fallback={<p className="muted small">Searching accounts…</p>}>
        <Results id={id} />
      </Suspense>
    </ErrorBoundary>
  );
}

function Results({ id }) {
  const refetches = useContext(Refetches);
  const filter = { accountType: "ALL", ...(id.startsWith("ca_") ? { ids: [id] } : { userIds: [id] }) };
  const { connectedAccounts } = useLazyLoadQuery(
    graphql`
      query AccountSearchQuery($filter: ConnectedAccountFilter!) {
        connectedAccounts(first: 50, filter: $filter, orderBy: { field: UPDATED_AT }) {
          totalCount
          nodes {
            id
            ...AccountRow_account
          }
        }
      }
    `,
    { filter },
    { fetchPolicy: "store-and-network", fetchKey: refetches },
  );
  if (!connectedAccounts) return <p className="muted small">Accounts cannot be searched at the moment.</p>;
  const { nodes, totalCount } = connectedAccounts;
  if (nodes.length === 0) return <p className="muted small">No account has the user ID or account ID “{id}”.</p>;
  return (
    <section className="group" aria-labelledby="found">
      <h3 id="found">
        Accounts of “{id}” <span className="muted">{totalCount ?? `${nodes.length}+`}</span>
      </h3>
      <ul className="card">
        {nodes.map((account) => (
          <AccountRow key={account.id} account={account} withService />
        ))}
      </ul>
      {totalCount > nodes.length && <p className="muted small">The {plural(nodes.length, "account")} that changed last are shown.</p>}
    </section>
  );
}
