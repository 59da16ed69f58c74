// A list of accounts paged forward and backward, one account refetched through `node`, and both APIs in one response: the work
// of `usePaginationFragment` and `useRefetchableFragment`, without React.
//
//   npm start [-- http://127.0.0.1:8080/graphql]
import relay from "relay-runtime";
import AccountRefetch from "./src/__generated__/Accounts_account.graphql.js";
import Accounts from "./src/__generated__/AccountsQuery.graphql.js";
import Overview from "./src/__generated__/AccountsOverviewQuery.graphql.js";
import Page from "./src/__generated__/Accounts_toolkit.graphql.js";
import { network } from "./src/network.mjs";

const endpoint = process.argv[2] ?? "http://127.0.0.1:8080/graphql";
const size = 7;

const newEnvironment = () =>
  new relay.Environment({ network: network(endpoint), store: new relay.Store(new relay.RecordSource()) });

/** The current data of the operation, fetched from the network. */
const ask = (environment, query, variables) => relay.fetchQuery(environment, query, variables).toPromise();

/** The data of a fragment reference. */
const read = (environment, fragment, reference) =>
  environment.lookup(relay.getSingularSelector(fragment, reference)).data;

/** Every account of a toolkit, page by page: "forward" or "backward". */
async function pages(environment, direction) {
  const metadata = relay.getPaginationMetadata(Page, "pages");
  const { paginationRequest, connectionPathInFragmentData, identifierField } = metadata;
  const first = { slug: "gmail", [direction === "forward" ? "first" : "last"]: size };
  const { toolkit } = await ask(environment, Accounts, first);
  for (let count = 1; ; count += 1) {
    const fragment = read(environment, Page, toolkit);
    const [list] = connectionPathInFragmentData.map((name) => fragment[name]);
    if (!list) return;
    const { edges, pageInfo } = list;
    const more = direction === "forward" ? pageInfo.hasNextPage : pageInfo.hasPreviousPage;
    if (!more) return { nodes: edges.map(({ node }) => node), count };
    const cursor = direction === "forward" ? pageInfo.endCursor : pageInfo.startCursor;
    const { variables } = relay.getSingularSelector(Page, toolkit);
    const next = relay.getPaginationVariables(direction, size, cursor, variables, {}, metadata.paginationMetadata);
    await ask(environment, paginationRequest, { ...next, id: fragment[identifierField] });
  }
}

const environment = newEnvironment();
const forward = await pages(environment, "forward");
const backward = await pages(newEnvironment(), "backward");
if (forward && backward) {
  const ids = ({ nodes }) => nodes.map(({ id }) => id).join();
  console.log(`forward: ${forward.nodes.length} accounts of gmail in ${forward.count} pages`);
  console.log(`backward: ${backward.nodes.length} in ${backward.count} pages, ${ids(forward) === ids(backward) ? "the same list" : "another list"}`);

  const [newest] = forward.nodes;
  const { refetchableRequest } = relay.getRefetchMetadata(AccountRefetch, "refetch");
  await ask(environment, refetchableRequest, { id: newest.id });
  const { connectedAccountId, status } = read(environment, AccountRefetch, newest);
  console.log(`read again by node: ${connectedAccountId} is ${status}`);
} else {
  console.log("the accounts of gmail: not there");
}

const { providers } = await ask(environment, Overview, {});
for (const { name, status, connectedAccounts } of providers?.nodes ?? []) {
  const newest = connectedAccounts.ok
    ? `its newest account is ${connectedAccounts.value.nodes[0]?.status ?? "none"}`
    : `its accounts are not there: ${connectedAccounts.errors[0].extensions.code}`;
  console.log(`${name} is ${status}, ${newest}`);
}
