// What README says of larger graphs is what the examples do, in the versions that it names.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

const read = (path) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const readme = read('README.md');

test('a set-up starts by its command, answers, and ends with Ctrl-C', async () => {
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

test("README's ten lines of stitching are the example's", () => {
  const [, lines] = /^```js\n(const by = .*?)^```$/ms.exec(readme);
  assert.equal(lines.trimEnd().split('\n').length, 10);
  assert.ok(read('examples/federation/stitching-plain.mjs').includes(lines));
});

test("README's table of consumers has the versions that were tried, and tests that exist", () => {
  const { dependencies } = JSON.parse(read('examples/federation/package.json'));
  const rows = [...readme.matchAll(/^\| (`[^|]*) \| ([\d., ]+) \| [^|]* \| `(tests\/interop\/federation\/[^`]+)` \|$/gm)];
  assert.equal(rows.length, 7);
  for (const [, consumer, versions, file] of rows) {
    const names = [...consumer.matchAll(/`([^`]+)`/g)].map(([, name]) => (name in dependencies ? name : `@graphql-tools/${name}`));
    assert.deepEqual(names.map((name) => dependencies[name]), versions.split(', '));
    assert.ok(read(file).length > 0);
  }
});
