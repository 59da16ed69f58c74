// Hive Gateway in front of Switchboard and the people service, started by its own command.

import { join } from 'node:path';
import { byHive } from './compose.mjs';
import { run } from './demo.mjs';
import { freePort, startGateway } from './gateway-process.mjs';
import { serve, subgraph } from './people.mjs';

const program = join(import.meta.dirname, 'node_modules/.bin/hive-gateway');
const ours = join(import.meta.dirname, 'hive.config.mjs');

/** Starts the gateway with `config`, and with the supergraph of both services unless another is passed. */
export async function start({ switchboard, people, port, config = ours, supergraphSdl }) {
  const taken = port || (await freePort());
  return startGateway({
    supergraphSdl: supergraphSdl ?? (await byHive({ switchboard, people })).supergraphSdl,
    command: (supergraph) => ({
      program,
      args: ['supergraph', '-c', config, '--host', '127.0.0.1', '-p', taken],
      env: { SUPERGRAPH: supergraph, LOG_FORMAT: 'json', CI: '1' },
    }),
    ready: /listening|Served the supergraph/i,
    url: `http://127.0.0.1:${taken}/graphql`,
  });
}

await run(import.meta, { start, people: () => serve(subgraph) });
