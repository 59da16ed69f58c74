// The integrations that need a new sign-in, and their accounts. tsc checks every name, variable and null below against the
// schema.
//
//   npm start [-- http://127.0.0.1:8080/graphql]
import { asking } from "./ask.js";
import { graphql } from "./generated/gql.js";
import type { ProviderStatus } from "./generated/graphql.js";

const Attention = graphql(`
  query Attention($statuses: [ProviderStatus!], $first: Int) {
    providers(filter: { statuses: $statuses }) {
      nodes {
        name
        status
        errorMessage
        connectedAccounts(first: $first) {
          nodes {
            userId
            status
          }
        }
      }
    }
  }
`);

const ask = asking(process.argv[2] ?? "http://127.0.0.1:8080/graphql");
const statuses: ProviderStatus[] = ["NEEDS_REAUTH"];
const { data, errors } = await ask(Attention, { statuses, first: 2 });

for (const { message, extensions } of errors ?? []) console.log(`${extensions.code}: ${message}`);
for (const { name, status, errorMessage, connectedAccounts } of data?.providers?.nodes ?? []) {
  const users = connectedAccounts?.nodes.map(({ userId, status }) => `${userId ?? "nobody"} ${status}`);
  console.log(`${name} is ${status} (${errorMessage ?? "no reason"}): ${users?.join(", ") ?? "its accounts are not there"}`);
}
