// Apollo Gateway, as examples/federation starts it.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { start } from '../../../examples/federation/apollo.mjs';
import { subgraph } from '../../../examples/federation/people.mjs';
import { larger, questions, referencesAreFound, tokensAreAsked } from './graph.mjs';

/** Requests to Switchboard and to the people, as the planner has them, and calls upstream. */
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

  it('what is wrong with a field is told with its code, and the rest is there', async () => {
    const { answer } = await graph.ask('{ connectedAccounts(first: 10000) { totalCount } viewer { id } }');
    assert.deepEqual(answer.data, { connectedAccounts: null, viewer: { id: 'user_1' } });
    assert.equal(answer.errors[0].extensions.code, 'BAD_USER_INPUT');
    assert.equal(answer.errors[0].extensions.reason, 'BAD_PAGE_SIZE');
  });

  it('providers and toolkits that the other service refers to are found', () => referencesAreFound(graph));

  tokensAreAsked(start, subgraph);
});
