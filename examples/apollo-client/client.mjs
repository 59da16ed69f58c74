// Apollo Client for the graph: lists that grow by pages, documents by hash, and answers that have data and errors.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { relayStylePagination } from "@apollo/client/utilities";
import { createHash } from "node:crypto";

// A list is told from another by its filter and order, never by where its pages were cut. A list that failed is null:
// the policy alone would make it an empty one with a next page.
const pages = relayStylePagination(["filter", "orderBy"]);
const list = {
  ...pages,
  merge: (existing, incoming, options) => (incoming ? pages.merge(existing ?? undefined, incoming, options) : (existing ?? null)),
};

const newCache = () =>
  new InMemoryCache({
    // So that a fragment on Node fits each type that is one.
    possibleTypes: { Node: ["Provider", "ConnectedAccount", "Toolkit"] },
    typePolicies: {
      Query: { fields: { providers: list, connectedAccounts: list } },
      Provider: { fields: { connectedAccounts: list } },
      Toolkit: { fields: { connectedAccounts: list } },
      User: { fields: { connectedAccounts: list } },
      AuthConfig: { fields: { connectedAccounts: list } },
    },
  });

/** A client of `endpoint`, and how often it has asked: a GET with a hash, a POST with the document. */
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
    // An answer is shown with what it has, and its errors beside.
    defaultOptions: { query: { errorPolicy: "all" }, watchQuery: { errorPolicy: "all" } },
  });
  return { client, asked };
}
