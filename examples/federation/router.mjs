// Apollo Router in front of Switchboard and the people service: the program `router` of the PATH, or APOLLO_ROUTER_BIN.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { byApollo } from './compose.mjs';
import { run } from './demo.mjs';
import { startGateway } from './gateway-process.mjs';
import { serve, subgraph } from './people.mjs';

const program = process.env.APOLLO_ROUTER_BIN ?? 'router';

/** The version of the router, or undefined if no router is installed. */
export function version() {
  try {
    const said = execFileSync(program, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return /\d+\.\d+\.\d+\S*/.exec(said)?.[0];
  } catch {
    return undefined;
  }
}

const yaml = join(import.meta.dirname, 'router.yaml');

/** Starts the router with `config`, and with the supergraph of both services unless another is passed. */
export async function start({ switchboard, people, port = 0, config = yaml, supergraphSdl }) {
  if (!version()) throw new Error(`${program} is not Apollo Router. Install it, or set APOLLO_ROUTER_BIN to its path.`);
  return startGateway({
    supergraphSdl: supergraphSdl ?? (await byApollo({ switchboard, people })).supergraphSdl,
    command: (supergraph) => ({
      program,
      args: ['--config', config, '--supergraph', supergraph],
      env: { PORT: String(port), APOLLO_TELEMETRY_DISABLED: '1' },
    }),
    ready: /GraphQL endpoint exposed at (http:[^\s"]+)/,
  });
}

await run(import.meta, { start, people: () => serve(subgraph) });
