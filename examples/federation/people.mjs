// The second service of the larger graph: it owns people and adds notes to accounts.
//
// It defines its own `user`, `node` and `Viewer`, as a real service would, and knows accounts only by id.

import { createServer } from 'node:http';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { buildSchema, graphql, parse } from 'graphql';
import { credentialsOf } from './caller.mjs';

const person = (id) => (/^user_\d+$/.test(id) ? { __typename: 'User', id, name: `Person ${id.slice(5)}`, since: '2026-01-01T00:00:00Z' } : null);
const noted = (key) => ({ __typename: 'ConnectedAccount', ...key, note: `Seen ${key.connectedAccountId ?? key.id}` });

/** The types of both schemas. `accountKey` is the field that identifies accounts of the other service. */
const types = (accountKey, { key = () => '', shared = '' } = {}) => `
  type Query {
    user(id: ID!): User
    node(id: ID!): Node
    viewer: Viewer
    team(order: OrderDirection): [User!]!
  }
  interface Node { id: ID! }
  type Viewer { id: ID! locale: String }
  type User implements Node ${key('id')} { id: ID! name: String! since: DateTime }
  scalar DateTime
  enum OrderDirection { ASC DESC }
  type ConnectedAccount ${key(accountKey)} { ${accountKey}: ID! note: String }
  type Team { members: [User!]! page: PageInfo! }
  type PageInfo ${shared} {
    hasNextPage: Boolean!
    hasPreviousPage: Boolean!
    startCursor: String
    endCursor: String
  }
`;

const roots = {
  user: ({ id }) => person(id),
  node: ({ id }) => person(id),
  viewer: () => ({ id: 'user_1', locale: 'en' }),
  team: () => Array.from({ length: 20 }, (_, number) => person(`user_${number}`)),
};

/** References to objects of the other service: the bookmarks of people. */
const bookmarks = `
  extend type Query { bookmarks(providers: [ID!]! toolkits: [String!]!): Bookmarks! }
  type Bookmarks { providers: [Provider!]! toolkits: [Toolkit!]! }
  type Provider @key(fields: "id", resolvable: false) { id: ID! }
  type Toolkit @key(fields: "slug", resolvable: false) { slug: String! }
`;

/** As a subgraph of Apollo Federation. */
export const subgraph = {
  schema: buildSubgraphSchema([{
    typeDefs: parse(`
      extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable"])
      ${types('connectedAccountId', { key: (field) => `@key(fields: "${field}")`, shared: '@shareable' })}
      ${bookmarks}
    `),
    resolvers: {
      User: { __resolveReference: ({ id }) => person(id) },
      ConnectedAccount: { __resolveReference: ({ connectedAccountId }) => noted({ connectedAccountId }) },
      Node: { __resolveType: () => 'User' },
    },
  }]),
  rootValue: {
    ...roots,
    bookmarks: ({ providers, toolkits }) => ({
      providers: providers.map((id) => ({ __typename: 'Provider', id })),
      toolkits: toolkits.map((slug) => ({ __typename: 'Toolkit', slug })),
    }),
  },
};

/** As a subschema for stitching: root fields by ids, and with directives an `_sdl`. */
const byIds = `
  extend type Query {
    peopleByIds(ids: [ID!]!): [User]! @merge(keyField: "id")
    notesByIds(ids: [ID!]!): [ConnectedAccount]! @merge(keyField: "id")
    _sdl: String!
  }
`;
const sdl = `
  directive @key(selectionSet: String!) on OBJECT
  directive @merge(keyField: String) on FIELD_DEFINITION
  ${types('id', { key: (field) => `@key(selectionSet: "{ ${field} }")` })}
  ${byIds}
`;
export const subschema = {
  schema: buildSchema(sdl),
  rootValue: {
    ...roots,
    peopleByIds: ({ ids }) => ids.map(person),
    notesByIds: ({ ids }) => ids.map((id) => noted({ id })),
    _sdl: () => sdl,
  },
};

/** The response to a request: status and body. Resolvers get the caller's credentials. */
async function answered(request, { schema, rootValue }) {
  let body = '';
  for await (const chunk of request) body += chunk;
  try {
    const { query: source, variables: variableValues, operationName } = JSON.parse(body);
    const contextValue = { headers: credentialsOf(request.headers) };
    return [200, await graphql({ schema, rootValue, source, variableValues, operationName, contextValue })];
  } catch (error) {
    return [400, { errors: [{ message: `This is no GraphQL request: ${error.message}` }] }];
  }
}

/** Serves a schema on a port until `stop()`, and counts its requests. */
export async function serve(service, port = 0) {
  let asked = 0;
  const server = createServer(async (request, response) => {
    if (request.method !== 'POST') {
      response.writeHead(request.method === 'GET' ? 200 : 405, { 'content-type': 'text/plain' });
      return response.end('Send GraphQL here by POST, as {"query": "{ __typename }"}.\n');
    }
    asked += 1;
    try {
      const [status, answer] = await answered(request, service);
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer));
    } catch {
      // The client has disconnected.
      response.destroy();
    }
  });
  // Longer than a composer can block this process: the default of 5 seconds would close a connection that `fetch` reuses.
  server.keepAliveTimeout = 60_000;
  await new Promise((listening, failed) => server.once('error', failed).listen(port, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${server.address().port}/graphql`,
    asked: () => asked,
    stop: () => new Promise((stopped) => server.close(stopped) && server.closeAllConnections()),
  };
}
