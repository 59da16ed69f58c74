// PyPI composio-client, in a virtual environment that is created if missing.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { claims } from './composio-claims.mjs';
import { pythonClient } from './python-client.mjs';
import { startSandbox } from './support.mjs';

describe('composio-client for Python', () => {
  let sandbox, client;
  before(async () => {
    sandbox = await startSandbox();
    client = pythonClient(sandbox.url);
  });
  after(async () => {
    client?.stop();
    await sandbox?.stop();
  });

  const see = (question) => client.see(question);

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
