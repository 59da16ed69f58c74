// urql for the graph: a normalized cache that knows the schema, documents by hash, and answers that have data and errors.
import { Client, CombinedError, fetchExchange, mapExchange } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import { persistedExchange } from "@urql/exchange-persisted";
import { buildSchema, getIntrospectionQuery, graphqlSync } from "graphql";
import { readFileSync } from "node:fs";

const sdl = readFileSync(new URL("../../schema.graphql", import.meta.url), "utf8");
const { data: schema } = graphqlSync({ schema: buildSchema(sdl), source: getIntrospectionQuery() });

const list = relayPagination();
// Values without an id of their own are kept with the object that they are a part of.
const roots = ["Query", "Mutation", "Subscription"];
const embedded = schema.__schema.types
  .filter(({ kind, name, fields }) => kind === "OBJECT" && !name.startsWith("__") && !roots.includes(name) && !fields.some(({ name }) => name === "id"))
  .map(({ name }) => [name, () => null]);

const cache = cacheExchange({
  schema,
  keys: Object.fromEntries(embedded),
  resolvers: {
    Query: { providers: list, connectedAccounts: list },
    Provider: { connectedAccounts: list },
    Toolkit: { connectedAccounts: list },
    User: { connectedAccounts: list },
    AuthConfig: { connectedAccounts: list },
  },
  updates: {
    Mutation: {
      removeAccount: ({ removeAccount }, _arguments, cache) => {
        const id = removeAccount?.removedAccountId;
        if (id) cache.invalidate({ __typename: "ConnectedAccount", id });
      },
    },
  },
});

/** Switchboard reports one error per failure, with all paths in `extensions.paths`. The cache needs an error at each path. */
const everyPlace = mapExchange({
  onResult(result) {
    if (!result.error?.graphQLErrors.length) return;
    const graphQLErrors = result.error.graphQLErrors.flatMap((error) =>
      (error.extensions.paths ?? [error.path]).map((path) => ({ ...error, message: error.message, path })));
    return { ...result, error: new CombinedError({ graphQLErrors, response: result.error.response }) };
  },
});

/** A client of `endpoint` with counts of its requests: GET with only a hash, and requests with the document. */
export function newClient(endpoint) {
  const asked = { hash: 0, document: 0 };
  const counted = (url, options) => {
    asked[new URL(url).searchParams.has("query") ? "document" : "hash"] += 1;
    return fetch(url, options);
  };
  const persisted = persistedExchange({ preferGetForPersistedQueries: "force" });
  const client = new Client({ url: endpoint, fetch: counted, exchanges: [cache, everyPlace, persisted, fetchExchange] });
  return { client, asked };
}
