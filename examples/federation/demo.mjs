// `switchboard demo`, as a process: the graph on its built-in sandbox; and what stands in front of it, as a program.

import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);
const built = ['release', 'debug'].map((profile) => fileURLToPath(new URL(`target/${profile}/switchboard`, root)));
const binary = process.env.SWITCHBOARD_BIN ?? built.find(existsSync);
const command = binary ? [binary] : ['cargo', 'run', '--release', '--quiet', '--'];

/** A demo until `stop()`, or until this process ends: where its graph and its sandbox are. */
export async function demo() {
  const [program, ...before] = command;
  const child = spawn(program, [...before, 'demo', '--listen', '127.0.0.1:0'], {
    cwd: fileURLToPath(root),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  endWithUs(child);
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

/** Lets a child not outlive this process, however this one ends. */
export function endWithUs(child) {
  const kill = () => child.kill('SIGTERM');
  process.once('exit', kill);
  child.once('close', () => process.off('exit', kill));
}

/** The answer to a query. */
export async function ask(url, query, variables, headers) {
  const body = JSON.stringify({ query, variables });
  const response = await fetch(url, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body });
  return response.json();
}

/** The data of the answer to a query that asks `name` for its schema. */
export async function schemaOf(name, url, query, headers) {
  const { data, errors } = await ask(url, query, {}, headers);
  if (errors) throw new Error(`${name} does not tell its schema: ${errors[0].message}`);
  return data;
}

/** Whether a module is the program, and not a part of another. */
const isProgram = ({ filename }) => existsSync(process.argv[1] ?? '') && realpathSync(process.argv[1]) === filename;

/**
 * Runs a set-up in front of Switchboard and of the people, until Ctrl-C, where the file that asks for it is the program.
 * Switchboard is the one at `SWITCHBOARD_URL`, or else a demo. A `start` that starts nothing has done what there is to do.
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
  // A server of others that finds its port taken throws where nobody catches.
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
