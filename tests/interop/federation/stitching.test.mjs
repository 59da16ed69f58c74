// Schema stitching with and without directives, started by examples/federation.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { subschema } from '../../../examples/federation/people.mjs';
import { start as plain } from '../../../examples/federation/stitching-plain.mjs';
import { start as directives } from '../../../examples/federation/stitching.mjs';
import { larger, questions, tokensAreAsked } from './graph.mjs';

/** The numbers of requests to Switchboard and to the people service, and of upstream calls. Each level is merged in one batch. */
const planned = [[1, 2, 2], [1, 2, 1], [1, 1, 0], [1, 1, 2]];

for (const [how, start] of [['by directives', directives], ['by hand', plain]]) {
  describe(`schema stitching ${how}`, () => {
    let graph;
    before(async () => {
      graph = await larger(start, subschema);
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

    it('has no fields for routers', async () => {
      const { answer } = await graph.ask('{ __schema { queryType { fields { name } } } }');
      const names = answer.data.__schema.queryType.fields.map(({ name }) => name);
      assert.ok(names.includes('connectedAccounts') && names.includes('team'));
      assert.ok(!names.includes('_entities') && !names.includes('_service'), names.join(' '));
    });

    tokensAreAsked(start, subschema);
  });
}
