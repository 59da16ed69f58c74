// Starts the built binary for a test, and ends it after.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The binary that is tested. */
export const binary =
  process.env.SWITCHBOARD_BIN ?? fileURLToPath(new URL('../../target/debug/switchboard', import.meta.url));

/**
 * Runs `switchboard` with `args` until `stop()`; resolves with the address of the first line that it prints
 * ("… listening on http://…", or a demo's "GraphiQL: http://…"), and rejects with what it said instead where it ends before that.
 */
export async function start(...args) {
  if (!existsSync(binary)) {
    throw new Error(`${binary} is missing: run \`cargo build\` first, or set SWITCHBOARD_BIN`);
  }
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  const url = await new Promise((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const address = /(?: on |^GraphiQL: )(http:\/\/\S+)/.exec(line);
      if (address) resolve(address[1]);
    });
    child.once('error', reject);
    ended.then((code) => reject(new Error(`switchboard ${args.join(' ')} ended with ${code}: ${said}`)));
  });
  return {
    url,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** The sandbox of both upstreams on a free port, with `args` beside. */
export async function startSandbox(...args) {
  const sandbox = await start('sandbox', '--listen', '127.0.0.1:0', ...args);
  return {
    ...sandbox,
    /** What it was asked since the last call. */
    async requests() {
      const asked = await (await fetch(`${sandbox.url}/__requests`)).json();
      await fetch(`${sandbox.url}/__requests`, { method: 'DELETE' });
      return asked;
    },
  };
}
