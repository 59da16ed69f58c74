// The other part of the larger graph: a service that owns people, and keeps notes on accounts.
//
// It has `user`, `node` and `Viewer` of its own, as any real one would, and knows an account only by its id.

import { createServer } from 'node:http';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { buildSchema, graphql, parse } from 'graphql';

const person = (id) => (/^user_\d+$/.test(id) ? { __typename: 'User', id, name: `Person ${id.slice(5)}`, since: '2026-01-01T00:00:00Z' } : null);
const noted = (key) => ({ __typename: 'ConnectedAccount', ...key, note: `Seen ${key.connectedAccountId ?? key.id}` });

/** What both schemas have. `accountKey` is the field by which the other service's accounts are known. */
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

/** As a subgraph of Apollo Federation. */
export const subgraph = {
  schema: buildSubgraphSchema({
    typeDefs: parse(`
      extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable"])
      ${types('connectedAccountId', { key: (field) => `@key(fields: "${field}")`, shared: '@shareable' })}
    `),
    resolvers: {
      User: { __resolveReference: ({ id }) => person(id) },
      ConnectedAccount: { __resolveReference: ({ connectedAccountId }) => noted({ connectedAccountId }) },
      Node: { __resolveType: () => 'User' },
    },
  }),
  rootValue: roots,
};

/** As a subschema for stitching: its own roots by ids, and with directives its own `_sdl`. */
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

/** Serves a schema on a port until `stop()`; counts what it was asked. */
export async function serve({ schema, rootValue }, port = 0) {
  let asked = 0;
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    asked += 1;
    const { query: source, variables: variableValues, operationName } = JSON.parse(body);
    const answer = await graphql({ schema, rootValue, source, variableValues, operationName });
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(answer));
  });
  await new Promise((listening) => server.listen(port, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${server.address().port}/graphql`,
    asked: () => asked,
    stop: () => new Promise((stopped) => server.close(stopped) && server.closeAllConnections()),
  };
}
