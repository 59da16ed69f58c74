// Hive Gateway, started by examples/federation.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hive } from '../../../examples/federation/compose.mjs';
import { ask } from '../../../examples/federation/demo.mjs';
import { start } from '../../../examples/federation/hive.mjs';
import { subgraph } from '../../../examples/federation/people.mjs';
import {
  changesAreReceived,
  larger,
  mutationsRun,
  questions,
  referencesAreFound,
  requestIdsAreForwarded,
  supergraphWith,
  tokensAreAsked,
  upstreamErrorsHaveTheirCodes,
} from './graph.mjs';

/**
 * The numbers of requests to Switchboard and to the people service by the query plan, and of upstream calls. Hive sends one more
 * request for the users of all accounts if another service has a part of them: accounts by ids.
 */
const planned = [[2, 2, 3], [1, 2, 1], [1, 1, 0], [1, 1, 2]];

describe('Hive Gateway', () => {
  let graph;
  before(async () => {
    graph = await larger(start, subgraph);
  });
  after(() => graph?.stop());

  for (const [place, { what, query, right }] of questions.entries()) {
    it(what, async () => {
      const { answer, ...cost } = await graph.ask(query);
      assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
      right(answer.data);
      assert.deepEqual([cost.asked.length, cost.people, cost.upstream], planned[place]);
    });
  }

  it('a field error keeps its code, and the other data is returned', async () => {
    const { answer } = await graph.ask('{ connectedAccounts(first: 10000) { totalCount } viewer { id } }');
    assert.deepEqual(answer.data, { connectedAccounts: null, viewer: { id: 'user_1' } });
    assert.equal(answer.errors[0].extensions.code, 'BAD_USER_INPUT');
    assert.equal(answer.errors[0].extensions.reason, 'BAD_PAGE_SIZE');
  });

  it('references of the other service to providers and toolkits are resolved', () => referencesAreFound(graph));

  it('a mutation runs, and its payload has fields of both services', () => mutationsRun(graph));

  it('the id of a request is forwarded', () => requestIdsAreForwarded(graph));

  it('subscribers get changes with fields of both services', () => changesAreReceived(graph, 'text/event-stream'));

  it('an error of an upstream keeps its code, and the other data is returned', () => upstreamErrorsHaveTheirCodes(graph));

  it('enforces `federation.authorization = true`', async () => {
    const urls = { switchboard: graph.switchboard.url, people: graph.people };
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

  tokensAreAsked(start, subgraph);
});
