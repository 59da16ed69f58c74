// Hive Gateway, started by examples/federation.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hive } from '../../../examples/federation/compose.mjs';
import { ask } from '../../../examples/federation/demo.mjs';
import { start } from '../../../examples/federation/hive.mjs';
import { subgraph } from '../../../examples/federation/people.mjs';
import { testGateway } from './gateway.mjs';
import { supergraphWith } from './graph.mjs';

describe('Hive Gateway', () => {
  const graph = testGateway({
    start,
    schema: subgraph,
    // One more request for the users of all accounts, because another service has a part of them: accounts by ids.
    planned: { accounts: [2, 2, 3] },
    subscriptionType: 'text/event-stream',
  });

  it('enforces `federation.authorization = true`', async () => {
    const { switchboard, people } = graph();
    const urls = { switchboard: switchboard.url, people };
    const supergraphSdl = await supergraphWith(hive, urls, { SWITCHBOARD__FEDERATION__AUTHORIZATION: 'true' });
    const config = fileURLToPath(new URL('hive-authorization.config.mjs', import.meta.url));
    const gateway = await start({ ...urls, config, supergraphSdl });
    const codes = async (scopes) => {
      const headers = scopes && { authorization: scopes };
      const queries = ['{ toolkit(slug: "gmail") { name } viewer { id } }', 'mutation { refresh(upstream: COMPOSIO) { retryAt } }'];
      const found = [];
      for (const query of queries) {
        const { data, errors } = await ask(gateway.url, query, {}, headers);
        if (data.viewer) assert.deepEqual(data.viewer, { id: 'user_1' });
        found.push(errors?.map(({ path, extensions }) => `${path}: ${extensions.code}`).join() ?? 'allowed');
      }
      return found;
    };
    try {
      const refused = 'UNAUTHORIZED_FIELD_OR_TYPE';
      assert.deepEqual(await codes(undefined), [`toolkit: ${refused}`, `refresh: ${refused}`]);
      assert.deepEqual(await codes('other:scope'), ['allowed', `refresh: ${refused}`]);
      assert.deepEqual(await codes('other:scope switchboard:admin'), ['allowed', 'allowed']);
    } finally {
      await gateway.stop();
    }
  });
});
