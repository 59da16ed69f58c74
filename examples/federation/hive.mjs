// Hive Gateway in front of Switchboard and the people service, started by its own command.

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { byHive } from './compose.mjs';
import { endWithThisProcess, run } from './demo.mjs';
import { serve, subgraph } from './people.mjs';

const program = join(import.meta.dirname, 'node_modules/.bin/hive-gateway');
const config = join(import.meta.dirname, 'hive.config.mjs');

/** A free port, because the gateway does not report the port that it chose. */
async function freePort() {
  const server = createServer();
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

export async function start({ switchboard, people, port }) {
  const { supergraphSdl } = await byHive({ switchboard, people });
  const folder = await mkdtemp(join(tmpdir(), 'supergraph-'));
  const supergraph = join(folder, 'supergraph.graphql');
  await writeFile(supergraph, supergraphSdl);
  const taken = port || (await freePort());
  const gateway = spawn(program, ['supergraph', '-c', config, '--host', '127.0.0.1', '-p', taken], {
    env: { ...process.env, SUPERGRAPH: supergraph, LOG_FORMAT: 'json', CI: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithThisProcess(gateway);
  const ended = new Promise((resolve) => gateway.once('close', resolve));
  let said = '';
  await new Promise((resolve, reject) => {
    for (const stream of [gateway.stdout, gateway.stderr]) {
      createInterface(stream).on('line', (line) => {
        said += `${line}\n`;
        if (/listening|Served the supergraph/i.test(line)) resolve();
      });
    }
    gateway.once('error', reject);
    ended.then((code) => reject(new Error(`hive-gateway ended with ${code}: ${said}`)));
  }).catch(async (error) => {
    await rm(folder, { recursive: true });
    throw error;
  });
  return {
    url: `http://127.0.0.1:${taken}/graphql`,
    async stop() {
      gateway.kill('SIGTERM');
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

await run(import.meta, { start, people: () => serve(subgraph) });
