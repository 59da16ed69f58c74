// A reconnect button: `reconnect` is its click handler, `finish` runs when the user is back from the sign-in. The graph needs
// `actions.enabled = true`, as in the demo.
//
//   npm run reconnect -- ACCOUNT_ID [http://127.0.0.1:8080/graphql]
import { gql } from "@urql/core";
import { createInterface } from "node:readline/promises";
import { newClient } from "./client.mjs";

const Reconnect = gql`
  mutation Reconnect($input: ReconnectAccountInput!) {
    reconnectAccount(input: $input) {
      redirectUrl
      connectedAccount { id connectedAccountId status }
      userErrors { code message }
    }
  }`;

const Refresh = gql`mutation Refresh { refresh(upstream: COMPOSIO) { retryAt } }`;

const Account = gql`
  query Account($id: ID!) {
    node(id: $id) { id ... on ConnectedAccount { connectedAccountId status } }
  }`;

const Remove = gql`
  mutation Remove($input: RemoveAccountInput!) {
    removeAccount(input: $input) { removedAccountId userErrors { code message } }
  }`;

/** The payload of a mutation. What the user can correct is in `userErrors`; everything else is in `error`. */
async function act(client, mutation, input) {
  const { data, error } = await client.mutation(mutation, { input }).toPromise();
  if (error) throw error;
  const payload = Object.values(data).find((value) => value?.userErrors);
  const [problem] = payload.userErrors;
  if (problem) throw new Error(`${problem.code}: ${problem.message}`);
  return payload;
}

/** Starts a sign-in. A page opens `url` in a new tab, and passes its own URL as `callbackUrl`. */
export async function reconnect(client, id) {
  const { redirectUrl: url, connectedAccount: account } = await act(client, Reconnect, { id });
  return { url, account };
}

/** Removes the old account once the new one is active. Revoking the old tokens could end the new connection too. */
export async function finish(client, { oldId, newId }) {
  // Composio sends no event at the end of a sign-in, so the graph has it read again.
  await client.mutation(Refresh, {}).toPromise();
  const { data, error } = await client.query(Account, { id: newId }, { requestPolicy: "network-only" }).toPromise();
  if (error) throw error;
  if (data.node.status === "ACTIVE") await act(client, Remove, { id: oldId, revokeAtProvider: false });
  return data.node;
}

const [oldId, endpoint = "http://127.0.0.1:8080/graphql"] = process.argv.slice(2);
const { client } = newClient(endpoint);
const { url, account } = await reconnect(client, oldId);
const terminal = createInterface({ input: process.stdin, output: process.stdout });
await terminal.question(`Sign in at ${url}\nThen press Enter.\n`);
terminal.close();
const { connectedAccountId, status } = await finish(client, { oldId, newId: account.id });
console.log(`${connectedAccountId} is ${status}${status === "ACTIVE" ? `, ${oldId} is removed` : ""}`);
