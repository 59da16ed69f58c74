// Apollo Gateway in front of Switchboard and the people service.

import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { credentialsOf } from './caller.mjs';
import { byApollo } from './compose.mjs';
import { run } from './demo.mjs';
import { serve, subgraph } from './people.mjs';

/** Forwards the caller's credentials. */
class WithCaller extends RemoteGraphQLDataSource {
  willSendRequest({ request, context }) {
    for (const [name, value] of Object.entries(context.headers ?? {})) request.http.headers.set(name, value);
  }
}

export async function start({ switchboard, people, port = 0 }) {
  const { supergraphSdl } = await byApollo({ switchboard, people });
  const gateway = new ApolloGateway({ supergraphSdl, buildService: ({ url }) => new WithCaller({ url }) });
  const server = new ApolloServer({ gateway });
  const context = async ({ req }) => ({ headers: credentialsOf(req.headers) });
  const { url } = await startStandaloneServer(server, { listen: { port, host: '127.0.0.1' }, context });
  return { url, stop: () => server.stop() };
}

await run(import.meta, { start, people: () => serve(subgraph) });
