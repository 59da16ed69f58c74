// A gateway that is a program: it reads the supergraph from a file and is ready when it logs the address it listens on.

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { endWithThisProcess } from './demo.mjs';

/** A free port, because a gateway may not report the port that it chose. */
export async function freePort() {
  const server = createServer();
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/**
 * Starts `command` with the name of a file that contains the supergraph, and resolves when a line of its output matches
 * `ready`, whose group is the address unless `url` is. Rejects with its output if it ends before that.
 */
export async function startGateway({ supergraphSdl, command, ready, url }) {
  const folder = await mkdtemp(join(tmpdir(), 'supergraph-'));
  const supergraph = join(folder, 'supergraph.graphql');
  await writeFile(supergraph, supergraphSdl);
  const { program, args, env } = command(supergraph);
  const gateway = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  endWithThisProcess(gateway);
  const ended = new Promise((resolve) => gateway.once('close', resolve));
  let said = '';
  const [, address = url] = await new Promise((resolve, reject) => {
    for (const stream of [gateway.stdout, gateway.stderr]) {
      createInterface(stream).on('line', (line) => {
        said += `${line}\n`;
        const match = ready.exec(line);
        if (match) resolve(match);
      });
    }
    gateway.once('error', reject);
    ended.then((code) => reject(new Error(`${program} ended with ${code}: ${said}`)));
  }).catch(async (error) => {
    await rm(folder, { recursive: true });
    throw error;
  });
  return {
    url: address,
    async stop() {
      gateway.kill('SIGTERM');
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}
