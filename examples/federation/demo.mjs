// `switchboard demo`, as a process: the graph on its built-in sandbox.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);
const built = ['release', 'debug'].map((profile) => fileURLToPath(new URL(`target/${profile}/switchboard`, root)));
const binary = process.env.SWITCHBOARD_BIN ?? built.find(existsSync);
const command = binary ? [binary] : ['cargo', 'run', '--release', '--quiet', '--'];

/** A demo until `stop()`: where its graph and its sandbox are. */
export async function demo() {
  const [program, ...before] = command;
  const child = spawn(program, [...before, 'demo', '--listen', '127.0.0.1:0'], {
    cwd: fileURLToPath(root),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const told = {};
  await new Promise((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const [, name, url] = /^(GraphQL|Sandbox): (http\S+)/.exec(line) ?? [];
      if (name) told[name] = url;
      if (told.GraphQL && told.Sandbox) resolve();
    });
    child.once('error', reject);
    ended.then((code) => reject(new Error(`switchboard demo ended with ${code}`)));
  });
  return {
    url: told.GraphQL,
    sandbox: told.Sandbox,
    stop: () => (child.kill('SIGTERM'), ended),
  };
}

/** The answer to a query. */
export async function ask(url, query, variables, headers) {
  const body = JSON.stringify({ query, variables });
  const response = await fetch(url, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body });
  return response.json();
}

/** Runs a set-up in front of a demo and of the people, until Ctrl-C, where the file that asks for it is the program. */
export async function run(meta, { start, people }) {
  if (process.argv[1] !== meta.filename) return;
  const switchboard = await demo();
  const other = await people();
  const gateway = await start({ switchboard: switchboard.url, people: other.url, port: Number(process.env.PORT ?? 4000) });
  console.log(`Gateway: ${gateway.url}\nSwitchboard: ${switchboard.url}\nPeople: ${other.url}`);
  process.once('SIGINT', async () => {
    await gateway.stop();
    await Promise.all([switchboard.stop(), other.stop()]);
  });
}
