// PyPI composio-client, in a virtual environment that is made where it is missing.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { claims } from './composio-claims.mjs';
import { startSandbox } from './support.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The interpreter of the virtual environment, which has exactly what requirements.txt says. */
function python() {
  const wanted = readFileSync(here('requirements.txt'), 'utf8');
  const [installed, interpreter] = [here('.venv/installed.txt'), here('.venv/bin/python')];
  if (!existsSync(installed) || readFileSync(installed, 'utf8') !== wanted) {
    process.stderr.write('installing tests/interop/requirements.txt into tests/interop/.venv\n');
    execFileSync(process.env.PYTHON ?? 'python3', ['-m', 'venv', '--clear', here('.venv')]);
    execFileSync(interpreter, ['-m', 'pip', 'install', '--quiet', '-r', here('requirements.txt')]);
    writeFileSync(installed, wanted);
  }
  return interpreter;
}

describe('composio-client for Python', () => {
  let sandbox, child, answers;
  before(async () => {
    sandbox = await startSandbox();
    child = spawn(python(), [here('composio_python.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
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

  it('sends a limit of 2.0 and a blank as a plus', async () => {
    await sandbox.requests();
    // JSON has one kind of number; a text is passed on as it is.
    const { page } = await see({ params: { limit: '2.0', user_ids: ['a b'] } });
    assert.deepEqual(page.items, []);
    const [{ target }] = await sandbox.requests();
    assert.equal(target, '/api/v3.1/connected_accounts?limit=2.0&user_ids=a+b');
  });
});
