// The documents' stitching lines are the examples' own, and their tables name the versions that are installed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from '../../../examples/federation/compose.mjs';
import { ask } from '../../../examples/federation/demo.mjs';
import { serve, subgraph } from '../../../examples/federation/people.mjs';

const read = (path) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const document = read('docs/federation.md');
const clients = read('docs/clients.md');

test('a gateway starts by its command, responds, and ends with Ctrl-C', async () => {
  const cwd = new URL('../../../examples/federation/', import.meta.url);
  const { scripts } = JSON.parse(read('examples/federation/package.json'));
  const [program, ...args] = scripts.stitching.split(' ');
  const child = spawn(program, args, { cwd, env: { ...process.env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(child.stdout), 'line');
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ query: '{ user(id: "user_1") { name connectedAccounts { totalCount } } }' });
  const answer = await fetch(/^Gateway: (\S+)/.exec(line)[1], { method: 'POST', headers, body });
  const { data } = await answer.json();
  assert.equal(data.user.name, 'Person 1');
  assert.ok(data.user.connectedAccounts.totalCount > 0);
  child.kill('SIGINT');
  assert.deepEqual(await once(child, 'close'), [0, null]);
});

/** Starts a program of the examples with additional environment variables. */
const program = (around, ...args) => {
  const cwd = new URL('../../../examples/federation/', import.meta.url);
  return spawn(process.execPath, args, { cwd, env: { ...process.env, ...around }, stdio: ['ignore', 'pipe', 'pipe'] });
};

/** The output of a program and its children until all have ended. A remaining child would keep the pipes open. */
async function said(child) {
  const text = async (stream) => (await stream.toArray()).join('');
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { out, err, code };
}

for (const setUp of ['apollo', 'hive', 'stitching', 'stitching-plain']) {
  test(`${setUp} ends if its port is in use, and leaves no process`, async () => {
    const taken = createServer();
    await once(taken.listen(0, '127.0.0.1'), 'listening');
    const { out, err, code } = await said(program({ PORT: String(taken.address().port) }, `${setUp}.mjs`));
    taken.close();
    assert.equal(code, 1, err);
    assert.match(err, /EADDRINUSE/);
    assert.equal(out, '');
  });
}

test('a gateway ends with SIGTERM too', async () => {
  const child = program({ PORT: '0' }, 'stitching-plain.mjs');
  const ended = said(child);
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  assert.equal((await ended).code, 0);
});

test('compose.mjs prints the supergraph, also through a symbolic link', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-'));
  const link = join(folder, 'compose.mjs');
  await symlink(fileURLToPath(new URL('../../../examples/federation/compose.mjs', import.meta.url)), link);
  const { out, err, code } = await said(program({}, link));
  await rm(folder, { recursive: true });
  assert.equal(code, 0, err);
  assert.ok(parse(out).definitions.some(({ name }) => name?.value === 'ConnectedAccount'));
});

test('malformed requests get an error, and the service continues', async () => {
  const people = await serve(subgraph);
  const answers = [];
  for (const body of ['', '{', 'null', '{"query":1}']) {
    const { status } = await fetch(people.url, { method: 'POST', body });
    answers.push(status);
  }
  assert.deepEqual(answers, [400, 400, 400, 200]);
  const page = await fetch(people.url);
  assert.deepEqual([page.status, (await page.text()).startsWith('Send GraphQL here by POST')], [200, true]);
  assert.deepEqual((await ask(people.url, '{ viewer { id } }')).data, { viewer: { id: 'user_1' } });
  await people.stop();
});

test("the documents' lines of stitching are the example's", () => {
  const [, lines] = /^```js\n(const by = .*?)^```$/ms.exec(document);
  assert.ok(read('examples/federation/stitching-plain.mjs').includes(lines));
});

test("the documents' lines of router.yaml are the example's", () => {
  const [, lines] = /^```yaml\n(.*?)^```$/ms.exec(document);
  assert.ok(read('examples/federation/router.yaml').includes(lines));
});

test('the table of consumers has the versions of the installed clients', () => {
  const folders = ['examples/apollo-client', 'examples/codegen', 'examples/relay', 'examples/urql', 'tests/interop'];
  const installed = Object.assign({}, ...folders.map((folder) => {
    const { dependencies, devDependencies } = JSON.parse(read(`${folder}/package.json`));
    return { ...dependencies, ...devDependencies };
  }));
  for (const [consumers, ...packages] of [
    ['relay-compiler, relay-runtime', 'relay-runtime'],
    ['Apollo Client', '@apollo/client'],
    ['urql, Graphcache', '@urql/core', '@urql/exchange-graphcache'],
    ['GraphQL Code Generator, TypeScript', '@graphql-codegen/cli', 'typescript'],
    ['graphql-eslint', '@graphql-eslint/eslint-plugin'],
    ['GraphQL Inspector', '@graphql-inspector/core'],
  ]) {
    const versions = packages.map((name) => installed[name]).join(', ');
    assert.ok(clients.includes(`\n| ${consumers} | ${versions} | `), `${consumers}: ${versions}`);
  }
  assert.equal(installed['relay-compiler'], installed['relay-runtime']);
});

test('the table of consumers has the tested gateway versions, and tests that exist', () => {
  const { dependencies } = JSON.parse(read('examples/federation/package.json'));
  const rows = [...clients.matchAll(/^\| (`[^|]*) \| ([\d., ]+) \| [^|]* \| `(tests\/interop\/federation\/[^`]+)` \|$/gm)];
  assert.equal(rows.length, 7);
  for (const [, consumer, versions, file] of rows) {
    const names = [...consumer.matchAll(/`([^`]+)`/g)].map(([, name]) => (name in dependencies ? name : `@graphql-tools/${name}`));
    assert.deepEqual(names.map((name) => dependencies[name]), versions.split(', '));
    assert.ok(read(file).length > 0);
  }
});
