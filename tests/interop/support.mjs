// Starts the built binary for a test and stops it afterwards.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The binary under test. */
export const binary =
  process.env.SWITCHBOARD_BIN ?? fileURLToPath(new URL('../../target/debug/switchboard', import.meta.url));

/**
 * Runs `switchboard` with `args` until `stop()`. Resolves with the address in its first line ("… listening on http://…", or a demo's
 * "GraphiQL: http://…"). Rejects with its output if it ends before that.
 */
export async function start(...args) {
  if (!existsSync(binary)) {
    throw new Error(`${binary} is missing: run \`cargo build\` first, or set SWITCHBOARD_BIN`);
  }
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  let said = '';
  const lines = [];
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  const url = await new Promise((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      lines.push(line);
      const address = /(?: on |^GraphiQL: )(http:\/\/\S+)/.exec(line);
      if (address) resolve(address[1]);
    });
    child.once('error', reject);
    ended.then((code) => reject(new Error(`switchboard ${args.join(' ')} ended with ${code}: ${said}`)));
  });
  return {
    url,
    lines,
    /** Stops the process and resolves with its exit code. */
    async stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

/** The sandbox of both upstreams on a free port, with the same data in every run, and additional `args`. */
export async function startSandbox(...args) {
  const sandbox = await start('sandbox', '--fixed-clock', '--listen', '127.0.0.1:0', ...args);
  return { ...sandbox, requests: () => requestsOf(sandbox.url) };
}

/** The requests that a sandbox received since the last call. */
async function requestsOf(url) {
  const asked = await (await fetch(`${url}/__requests`)).json();
  await fetch(`${url}/__requests`, { method: 'DELETE' });
  return asked;
}

/** A demo on a free port until the test `t` ends: its graph's URL, and the requests to its sandbox. */
export async function startDemo(t, ...args) {
  const demo = await start('demo', '--listen', '127.0.0.1:0', ...args);
  t.after(() => demo.stop());
  return {
    graphql: new URL('graphql', demo.url).href,
    requests: () => requestsOf(/^Sandbox: (.*)$/m.exec(demo.lines.join('\n'))[1]),
  };
}
