// npm @composio/client: the last version for /api/v3, and one for /api/v3.1.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { claims } from './composio-claims.mjs';
import { startSandbox } from './support.mjs';

for (const [name, prefix] of [
  ['composio-client-v3', '/api/v3/'],
  ['composio-client-v3.1', '/api/v3.1/'],
]) {
  const { default: Composio } = await import(name);

  describe(name, () => {
    let sandbox;
    before(async () => {
      sandbox = await startSandbox();
    });
    after(() => sandbox?.stop());

    const see = async ({ params, headers, key = 'ak_sandbox_a', retrieve }) => {
      const client = new Composio({ apiKey: key, baseURL: sandbox.url, defaultHeaders: headers });
      try {
        return retrieve
          ? { one: await client.connectedAccounts.retrieve(retrieve) }
          : { page: await client.connectedAccounts.list(params) };
      } catch (error) {
        return { error: { status: error.status, kind: error.constructor.name, body: error.error } };
      }
    };

    claims(it, () => sandbox, see);

    it(`calls ${prefix}`, async () => {
      await sandbox.requests();
      await see({ params: { toolkit_slugs: ['gmail', 'slack'] } });
      const [{ target }] = await sandbox.requests();
      assert.equal(target, `${prefix}connected_accounts?toolkit_slugs=gmail%2Cslack`);
    });
  });
}
