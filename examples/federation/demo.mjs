// `switchboard demo` as a process: the graph on its built-in sandbox. Also the runner for gateways in front of it.

import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);
const built = ['release', 'debug'].map((profile) => fileURLToPath(new URL(`target/${profile}/switchboard`, root)));
const binary = process.env.SWITCHBOARD_BIN ?? built.find(existsSync);
const command = binary ? [binary] : ['cargo', 'run', '--release', '--quiet', '--'];

/** Starts a demo, which runs until `stop()` or until this process ends. Returns the URLs of its graph and its sandbox. */
export async function demo() {
  const [program, ...before] = command;
  const child = spawn(program, [...before, 'demo', '--listen', '127.0.0.1:0'], {
    cwd: fileURLToPath(root),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithThisProcess(child);
  const ended = new Promise((resolve) => child.once('close', resolve));
  const urls = {};
  await new Promise((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const [, name, url] = /^(GraphQL|Sandbox): (http\S+)/.exec(line) ?? [];
      if (name) urls[name] = url;
      if (urls.GraphQL && urls.Sandbox) resolve();
    });
    child.once('error', reject);
    ended.then((code) => reject(new Error(`switchboard demo ended with ${code}`)));
  });
  return {
    url: urls.GraphQL,
    sandbox: urls.Sandbox,
    stop: () => (child.kill('SIGTERM'), ended),
  };
}

/** Ends a child process when this process ends in any way. */
export function endWithThisProcess(child) {
  const kill = () => child.kill('SIGTERM');
  process.once('exit', kill);
  child.once('close', () => process.off('exit', kill));
}

/** The response to a query. */
export async function ask(url, query, variables, headers) {
  const body = JSON.stringify({ query, variables });
  const response = await fetch(url, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body });
  return response.json();
}

/** The data of a query for the schema of `name`. */
export async function schemaOf(name, url, query, headers) {
  const { data, errors } = await ask(url, query, {}, headers);
  if (errors) throw new Error(`${name} did not return its schema: ${errors[0].message}`);
  return data;
}

/** Whether a module is the started program and not an import. */
const isProgram = ({ filename }) => existsSync(process.argv[1] ?? '') && realpathSync(process.argv[1]) === filename;

/**
 * Runs a gateway in front of Switchboard and the people service until Ctrl-C, if the calling module is the program.
 * Switchboard is the one at `SWITCHBOARD_URL`, or else a demo. If `start` returns nothing, the program ends.
 */
export async function run(meta, { start, people }) {
  if (!isProgram(meta)) return;
  const parts = [];
  const end = async (code) => {
    while (parts.length) await parts.pop().stop();
    process.exit(code);
  };
  const fail = (error) => {
    console.error(error.message);
    return end(1);
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => end(0));
  // A third-party server throws an uncaught error if its port is in use.
  process.once('uncaughtException', fail);
  const begun = async (part) => {
    parts.push(await part);
    return parts.at(-1).url;
  };
  try {
    const switchboard = process.env.SWITCHBOARD_URL || (await begun(demo()));
    const other = await begun(people());
    const gateway = await start({ switchboard, people: other, port: Number(process.env.PORT ?? 4000) });
    if (!gateway) return await end(0);
    console.log(`Gateway: ${await begun(gateway)}\nSwitchboard: ${switchboard}\nPeople: ${other}`);
  } catch (error) {
    await fail(error);
  }
}
