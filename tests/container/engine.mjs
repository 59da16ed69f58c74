// The container engine for the tests of this folder: commands, containers that end with the test, and bounded waits.

import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';

/** A path inside the project. */
export const root = (name = '') => fileURLToPath(new URL(`../../${name}`, import.meta.url));

const execute = promisify(execFile);

/** Runs a program to its end and returns its trimmed standard output. Fails with all of its output. */
export async function run(program, args, options = {}) {
  try {
    const { stdout } = await execute(program, args, { maxBuffer: 2 ** 27, ...options });
    return stdout.trim();
  } catch (error) {
    const output = `${error.stdout ?? ''}${error.stderr ?? ''}`.split('\n').slice(-40).join('\n');
    throw new Error(`${program} ${args.join(' ')}: ${error.code ?? error.signal}\n${output}`);
  }
}

/** The output of a command of the engine. */
export const docker = (...args) => run('docker', args);

/** One value of `docker inspect`, by its Go template. */
export const inspect = (name, format) => docker('inspect', '--format', format, name);

/** Both output streams of a container. */
export async function logs(name) {
  const { stdout, stderr } = await execute('docker', ['logs', name], { maxBuffer: 2 ** 27 });
  return stdout + stderr;
}

/** Repeats `check` until it returns a true value, and returns that. A check that throws is repeated too. */
export async function until(what, check, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  for (let last; ; ) {
    try {
      const value = await check();
      if (value) return value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`, { cause: last });
    await delay(200);
  }
}

/** A port of loopback that is free now. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Sends an operation. Returns the status and the parsed body. */
export async function post(url, token, query) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query }),
  });
  return { status: response.status, body: await response.json() };
}

/** A new token of the image's `token new`: the token, and the entry of the configuration that permits it. */
export async function newToken(image) {
  const printed = await docker('run', '--rm', image, 'token', 'new');
  return { token: /swb_[\w-]+/.exec(printed)[0], sha256: /sha256 = "(\w+)"/.exec(printed)[1] };
}
