// A list of accounts paged forward and backward, one account refetched through `node`, and both APIs in one response. Each
// document is sent once, then referred to by its hash in a GET.
//
//   npm start [-- http://127.0.0.1:8080/graphql]
import { gql } from "@urql/core";
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

/** Runs a query and prints each error once. */
async function ask(client, query, variables, context) {
  const { data, error } = await client.query(query, variables, context).toPromise();
  if (error?.networkError) throw error.networkError;
  const said = new Set(error?.graphQLErrors.map(({ message, extensions }) => `${extensions.code}: ${message}`));
  for (const sentence of said) console.log(sentence);
  return { data, errors: error?.graphQLErrors ?? [] };
}

/** Every account of the list, page by page from one end. Nothing if a page failed. */
async function pages(client, forward) {
  const variables = forward ? { first: size } : { last: size };
  for (let beyond = {}, count = 1; ; count += 1) {
    // With all pages that the cache has merged.
    const { data } = await ask(client, Accounts, { ...variables, ...beyond });
    const accounts = data?.toolkit.connectedAccounts;
    if (!accounts) return;
    const { hasNextPage, endCursor, hasPreviousPage, startCursor } = accounts.pageInfo;
    if (!(forward ? hasNextPage : hasPreviousPage)) return { nodes: accounts.edges.map(({ node }) => node), count };
    beyond = forward ? { after: endCursor } : { before: startCursor };
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
  const { data } = await ask(client, Account, { id }, { requestPolicy: "network-only" });
  console.log(`read again by node: ${data.node.connectedAccountId} is ${data.node.status}`);
} else {
  console.log("the accounts of gmail: not there");
}

const { data, errors } = await ask(client, Overview, {});
for (const [place, { name, status, connectedAccounts }] of (data?.providers?.nodes ?? []).entries()) {
  const failure = errors.find(({ path }) => path.join(".") === `providers.nodes.${place}.connectedAccounts`);
  const newest = connectedAccounts
    ? `its newest account is ${connectedAccounts.nodes[0]?.status ?? "none"}`
    : `its accounts are not there: ${failure.extensions.code}`;
  console.log(`${name} is ${status}, ${newest}`);
}
console.log(`asked: ${asked.hash} by GET with a hash, ${asked.document} with the document`);
