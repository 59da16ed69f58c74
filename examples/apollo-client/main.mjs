// A list of accounts paged forward and backward, one account refetched through `node`, and both APIs in one response. Each
// document is sent once, then referred to by its hash in a GET.
//
//   npm start [-- http://127.0.0.1:8080/graphql]
import { CombinedGraphQLErrors, gql } from "@apollo/client";
import { filter, firstValueFrom } from "rxjs";
import { newClient } from "./client.mjs";

const endpoint = process.argv[2] ?? "http://127.0.0.1:8080/graphql";
const size = 7;

const Accounts = gql`
  query Accounts($first: Int, $after: String, $last: Int, $before: String) {
    toolkit(slug: "gmail") {
      id
      connectedAccounts(first: $first, after: $after, last: $last, before: $before) {
        edges { cursor node { id connectedAccountId status } }
        pageInfo { hasNextPage endCursor hasPreviousPage startCursor }
      }
    }
  }`;

const Account = gql`
  query Account($id: ID!) {
    node(id: $id) { id ... on ConnectedAccount { connectedAccountId status } }
  }`;

const Overview = gql`
  query Overview {
    providers(first: 3) {
      nodes { id name status connectedAccounts(first: 1) { nodes { id status } } }
    }
  }`;

/** The data of a response. Errors are printed first. */
function dataOf({ data, error }) {
  if (error && !CombinedGraphQLErrors.is(error)) throw error;
  for (const { message, extensions } of error?.errors ?? []) console.log(`${extensions.code}: ${message}`);
  return data;
}

/** Every account of the list, page by page from one end. Nothing if a page failed. */
async function pages(client, forward) {
  const variables = forward ? { first: size } : { last: size };
  const list = client.watchQuery({ query: Accounts, variables });
  const shown = list.subscribe({});
  try {
    let answer = dataOf(await firstValueFrom(list.pipe(filter(({ loading }) => !loading))));
    for (let count = 1; answer.toolkit.connectedAccounts; count += 1) {
      // The list so far, as merged by the cache's policy.
      const { edges, pageInfo } = client.readQuery({ query: Accounts, variables }).toolkit.connectedAccounts;
      const { hasNextPage, endCursor, hasPreviousPage, startCursor } = pageInfo;
      if (!(forward ? hasNextPage : hasPreviousPage)) return { nodes: edges.map(({ node }) => node), count };
      const beyond = forward ? { after: endCursor } : { before: startCursor };
      answer = dataOf(await list.fetchMore({ variables: { ...variables, ...beyond }, errorPolicy: "all" }));
    }
  } finally {
    shown.unsubscribe();
  }
}

const { client, asked } = newClient(endpoint);
const forward = await pages(client, true);
const backward = await pages(newClient(endpoint).client, false);
if (forward && backward) {
  const ids = ({ nodes }) => nodes.map(({ id }) => id).join();
  console.log(`forward: ${forward.nodes.length} accounts of gmail in ${forward.count} pages`);
  console.log(`backward: ${backward.nodes.length} in ${backward.count} pages, ${ids(forward) === ids(backward) ? "the same list" : "another list"}`);
  const [{ id }] = forward.nodes;
  const { node } = dataOf(await client.query({ query: Account, variables: { id }, fetchPolicy: "network-only" }));
  console.log(`read again by node: ${node.connectedAccountId} is ${node.status}`);
} else {
  console.log("the accounts of gmail: not there");
}

const { providers } = dataOf(await client.query({ query: Overview }));
for (const { name, status, connectedAccounts } of providers?.nodes ?? []) {
  const newest = connectedAccounts ? `its newest account is ${connectedAccounts.nodes[0]?.status ?? "none"}` : "its accounts are not there";
  console.log(`${name} is ${status}, ${newest}`);
}
console.log(`asked: ${asked.GET} by GET with a hash, ${asked.POST} with the document`);
client.stop();
