// Apollo Gateway, started by examples/federation.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { start } from '../../../examples/federation/apollo.mjs';
import { subgraph } from '../../../examples/federation/people.mjs';
import {
  larger,
  mutationsRun,
  questions,
  referencesAreFound,
  tokensAreAsked,
  upstreamErrorsHaveTheirCodes,
} from './graph.mjs';

/** The numbers of requests to Switchboard and to the people service by the query plan, and of upstream calls. */
const planned = [[1, 2, 2], [1, 2, 1], [1, 1, 0], [1, 1, 2]];

describe('Apollo Gateway', () => {
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

  it('an error of an upstream keeps its code, and the other data is returned', () => upstreamErrorsHaveTheirCodes(graph));

  tokensAreAsked(start, subgraph);
});
