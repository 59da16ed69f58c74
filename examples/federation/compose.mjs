// One supergraph of both services, by each of three composers, from the SDL in `_service`. As a program it prints Apollo's.

import * as apollo from '@apollo/composition';
import * as hive from '@theguild/federation-composition';
import * as cosmo from '@wundergraph/composition';
import { parse } from 'graphql';
import { ownCredentials } from './caller.mjs';
import { run, schemaOf } from './demo.mjs';
import { serve, subgraph } from './people.mjs';

export { apollo, hive, parse };

/** The SDL of both services. */
export const subgraphs = (urls) =>
  Promise.all(
    Object.entries(urls).map(async ([name, url]) => {
      const { _service } = await schemaOf(name, url, '{ _service { sdl } }', name === 'switchboard' ? ownCredentials() : {});
      return { name, url, typeDefs: parse(_service.sdl) };
    }),
  );

function supergraph({ supergraphSdl, errors, hints = [] }) {
  if (errors?.length) throw new AggregateError(errors, errors.map(String).join('\n'));
  return { supergraphSdl, hints: hints.map(String) };
}

export const byApollo = async (urls) => supergraph(apollo.composeServices(await subgraphs(urls)));

export const byHive = async (urls) => supergraph(hive.composeServices(await subgraphs(urls)));

/** The client schema of the execution configuration. The Cosmo router is not available as an npm package. */
export async function byCosmo(urls) {
  const composed = cosmo.federateSubgraphs({
    subgraphs: (await subgraphs(urls)).map(({ typeDefs, ...subgraph }) => ({ ...subgraph, definitions: typeDefs })),
    version: cosmo.LATEST_ROUTER_COMPATIBILITY_VERSION,
  });
  if (!composed.success) throw new AggregateError(composed.errors, composed.errors.map(String).join('\n'));
  return { schema: composed.federatedGraphClientSchema, hints: composed.warnings.map(String) };
}

async function print({ switchboard, people }) {
  const { supergraphSdl } = await byApollo({ switchboard, people });
  await new Promise((written) => process.stdout.write(`${supergraphSdl}\n`, written));
}

await run(import.meta, { start: print, people: () => serve(subgraph) });
