// Apollo Client for the graph: paginated lists, persisted queries, and responses with both data and errors.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { relayStylePagination } from "@apollo/client/utilities";
import { createHash } from "node:crypto";

// Filter and order identify a list; page arguments do not. A failed list is null. The policy alone would make it an empty list
// with a next page.
const pages = relayStylePagination(["filter", "orderBy"]);
const list = {
  ...pages,
  merge: (existing, incoming, options) => (incoming ? pages.merge(existing ?? undefined, incoming, options) : (existing ?? null)),
};

const newCache = () =>
  new InMemoryCache({
    // Fragments on Node match every type that implements it.
    possibleTypes: { Node: ["Provider", "ConnectedAccount", "Toolkit"] },
    typePolicies: {
      Query: { fields: { providers: list, connectedAccounts: list } },
      Provider: { fields: { connectedAccounts: list } },
      Toolkit: { fields: { connectedAccounts: list } },
      User: { fields: { connectedAccounts: list } },
      AuthConfig: { fields: { connectedAccounts: list } },
    },
  });

/** A client of `endpoint` with counts of its requests: GET with a hash, POST with the document. */
export function newClient(endpoint) {
  const asked = { GET: 0, POST: 0 };
  const counted = (url, options) => {
    asked[options.method] += 1;
    return fetch(url, options);
  };
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  const client = new ApolloClient({
    cache: newCache(),
    link: ApolloLink.from([
      new PersistedQueryLink({ sha256, useGETForHashedQueries: true }),
      new HttpLink({ uri: endpoint, fetch: counted }),
    ]),
    // Partial data is returned together with its errors.
    defaultOptions: { query: { errorPolicy: "all" }, watchQuery: { errorPolicy: "all" } },
  });
  return { client, asked };
}
