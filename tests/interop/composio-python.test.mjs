// PyPI composio-client, in a virtual environment that is created if missing.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { claims } from './composio-claims.mjs';
import { programs } from './python.mjs';
import { startSandbox } from './support.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

describe('composio-client for Python', () => {
  let sandbox, child, answers;
  before(async () => {
    sandbox = await startSandbox();
    child = spawn(`${programs()}/python`, [here('composio_python.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
    answers = createInterface(child.stdout)[Symbol.asyncIterator]();
  });
  after(async () => {
    child?.stdin.end();
    await sandbox?.stop();
  });

  const see = async (question) => {
    child.stdin.write(`${JSON.stringify({ url: sandbox.url, ...question })}\n`);
    const { value, done } = await answers.next();
    assert.ok(!done, 'composio_python.py ended');
    return JSON.parse(value);
  };

  claims(it, () => sandbox, see);

  it('sends a limit of 2.0 and a space as a plus', async () => {
    await sandbox.requests();
    // JSON has one number type; a string is passed unchanged.
    const { page } = await see({ params: { limit: '2.0', user_ids: ['a b'] } });
    assert.deepEqual(page.items, []);
    const [{ target }] = await sandbox.requests();
    assert.equal(target, '/api/v3.1/connected_accounts?limit=2.0&user_ids=a+b');
  });
});
