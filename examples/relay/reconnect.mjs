// A reconnect button: `reconnect` is its click handler, `finish` runs when the user is back from the sign-in. The graph needs
// `actions.enabled = true`, as in the demo.
//
//   npm run reconnect -- ACCOUNT_ID [http://127.0.0.1:8080/graphql]
import { createInterface } from "node:readline/promises";
import relay from "relay-runtime";
import Account from "./src/__generated__/ReconnectAccountQuery.graphql.js";
import Refresh from "./src/__generated__/ReconnectRefreshMutation.graphql.js";
import Remove from "./src/__generated__/ReconnectRemoveMutation.graphql.js";
import Reconnect from "./src/__generated__/ReconnectMutation.graphql.js";
import { network } from "./src/network.mjs";

/** The payload of a mutation. What the user can correct is in `userErrors`; everything else rejects. */
const act = (environment, mutation, variables) =>
  new Promise((resolve, reject) =>
    relay.commitMutation(environment, {
      mutation,
      variables,
      onError: reject,
      onCompleted(data, errors) {
        const [payload] = Object.values(data ?? {});
        const error = payload ? payload.userErrors?.[0] : errors?.[0];
        if (error) reject(new Error([error.code, error.message].filter(Boolean).join(": ")));
        else resolve(payload);
      },
    }),
  );

/** Starts a sign-in. A page opens `url` in a new tab, and passes its own URL as `callbackUrl`. */
export async function reconnect(environment, id) {
  const { redirectUrl: url, connectedAccount: account } = await act(environment, Reconnect, { input: { id } });
  return { url, account };
}

/** Removes the old account once the new one is active. Revoking the old tokens could end the new connection too. */
export async function finish(environment, { oldId, newId }) {
  // Composio sends no event at the end of a sign-in, so the graph has it read again.
  await act(environment, Refresh, {});
  const { connectedAccount } = await relay.fetchQuery(environment, Account, { id: newId }).toPromise();
  if (connectedAccount.status === "ACTIVE") await act(environment, Remove, { input: { id: oldId, revokeAtProvider: false } });
  return connectedAccount;
}

const [oldId, endpoint = "http://127.0.0.1:8080/graphql"] = process.argv.slice(2);
const environment = new relay.Environment({ network: network(endpoint), store: new relay.Store(new relay.RecordSource()) });
const { url, account } = await reconnect(environment, oldId);
const terminal = createInterface({ input: process.stdin, output: process.stdout });
await terminal.question(`Sign in at ${url}\nThen press Enter.\n`);
terminal.close();
const { connectedAccountId, status } = await finish(environment, { oldId, newId: account.id });
console.log(`${connectedAccountId} is ${status}${status === "ACTIVE" ? `, ${oldId} is removed` : ""}`);
