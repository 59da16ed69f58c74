// Schema stitching with and without directives, started by examples/federation.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { subschema } from '../../../examples/federation/people.mjs';
import { start as plain } from '../../../examples/federation/stitching-plain.mjs';
import { start as directives } from '../../../examples/federation/stitching.mjs';
import { testGateway } from './gateway.mjs';

for (const [how, start] of [['by directives', directives], ['by hand', plain]]) {
  describe(`schema stitching ${how}`, () => {
    const graph = testGateway({ start, schema: subschema, hasEntities: false, hasRequestIds: false });

    it('has no fields for routers', async () => {
      const { response } = await graph().ask('{ __schema { queryType { fields { name } } } }');
      const names = response.data.__schema.queryType.fields.map(({ name }) => name);
      assert.ok(names.includes('connectedAccounts') && names.includes('team'));
      assert.ok(!names.includes('_entities') && !names.includes('_service'), names.join(' '));
    });
  });
}
