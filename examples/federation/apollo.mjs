// Apollo Gateway in front of Switchboard and the people.

import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { byApollo } from './compose.mjs';
import { run } from './demo.mjs';
import { serve, subgraph } from './people.mjs';

/** Passes on who asks: Switchboard decides by it what they may see. */
class WithCaller extends RemoteGraphQLDataSource {
  willSendRequest({ request, context }) {
    if (context.authorization) request.http.headers.set('authorization', context.authorization);
  }
}

export async function start({ switchboard, people, port = 0 }) {
  const { supergraphSdl } = await byApollo({ switchboard, people });
  const gateway = new ApolloGateway({ supergraphSdl, buildService: ({ url }) => new WithCaller({ url }) });
  const server = new ApolloServer({ gateway });
  const context = async ({ req }) => ({ authorization: req.headers.authorization });
  const { url } = await startStandaloneServer(server, { listen: { port, host: '127.0.0.1' }, context });
  return { url, stop: () => server.stop() };
}

await run(import.meta, { start, people: () => serve(subgraph) });
