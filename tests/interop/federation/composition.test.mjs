// Every composer composes both services into one supergraph without warnings.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { apollo, byApollo, byCosmo, byHive, hive, parse, subgraphs } from '../../../examples/federation/compose.mjs';
import { ask, demo } from '../../../examples/federation/demo.mjs';
import { serve, subgraph } from '../../../examples/federation/people.mjs';
import { binary } from '../support.mjs';

describe('composition', () => {
  let switchboard, people, urls;
  before(async () => {
    switchboard = await demo();
    people = await serve(subgraph);
    urls = { switchboard: switchboard.url, people: people.url };
  });
  after(async () => {
    await switchboard?.stop();
    await people?.stop();
  });

  for (const [composer, compose] of [['@apollo/composition', byApollo], ['@theguild/federation-composition', byHive]]) {
    it(`${composer} composes without hints`, async () => {
      const { supergraphSdl, hints } = await compose(urls);
      assert.deepEqual(hints, []);
      for (const expected of ['join__type(graph: SWITCHBOARD, key: "connectedAccountId")', 'type Viewer', '@cost', '@listSize', '@tag']) {
        assert.ok(supergraphSdl.includes(expected), expected);
      }
    });
  }

  it('@wundergraph/composition composes without warnings', async () => {
    const { schema, hints } = await byCosmo(urls);
    assert.deepEqual(hints, []);
    assert.ok(schema.getType('User').getFields().name && schema.getType('User').getFields().connectedAccounts);
    assert.deepEqual(Object.keys(schema.getType('Viewer').getFields()).sort(), ['id', 'locale']);
  });

  // Hive's composer supports no version after 2.9.
  for (const [version, ...composers] of [['2.0', apollo, hive], ['2.5', apollo, hive], ['2.9', apollo, hive], ['2.14', apollo]]) {
    it(`composes with link version ${version}`, async () => {
      const env = { SWITCHBOARD__FEDERATION__VERSION: version };
      const sdl = execFileSync(binary, ['schema', '--format', 'federation'], { encoding: 'utf8', env });
      assert.ok(sdl.startsWith(`extend schema @link(url: "https://specs.apollo.dev/federation/v${version}"`));
      const [ours, theirs] = await subgraphs(urls);
      const parts = [{ ...ours, typeDefs: parse(sdl) }, theirs];
      for (const { composeServices } of composers) assert.equal(composeServices(parts).errors, undefined);
    });
  }

  it('composes with cache tags', async () => {
    const env = { SWITCHBOARD__FEDERATION__VERSION: '2.12' };
    const sdl = execFileSync(binary, ['schema', '--format', 'federation'], { encoding: 'utf8', env });
    assert.match(sdl, /@cacheTag\(format: "provider-\{\$key\.id\}"\)/);
    const [ours, theirs] = await subgraphs(urls);
    assert.equal(apollo.composeServices([{ ...ours, typeDefs: parse(sdl) }, theirs]).errors, undefined);
  });

  for (const [name, composer] of [['@apollo/composition', apollo], ['@theguild/federation-composition', hive]]) {
    it(`${name} composes with authorization`, async () => {
      const env = { SWITCHBOARD__FEDERATION__AUTHORIZATION: 'true' };
      const sdl = execFileSync(binary, ['schema', '--format', 'federation'], { encoding: 'utf8', env });
      const [ours, theirs] = await subgraphs(urls);
      const { errors, supergraphSdl } = composer.composeServices([{ ...ours, typeDefs: parse(sdl) }, theirs]);
      assert.equal(errors, undefined);
      assert.match(supergraphSdl, /@requiresScopes\(scopes: \[\["switchboard:admin"\]\]\)/);
    });
  }

  it('the printed schema equals the schema of _service', async () => {
    const { data } = await ask(switchboard.url, '{ _service { sdl } _sdl }');
    const printed = (format) => execFileSync(binary, ['schema', '--format', format], { encoding: 'utf8', env: {} });
    assert.equal(printed('federation'), data._service.sdl);
    assert.equal(printed('stitching'), data._sdl);
  });
});
