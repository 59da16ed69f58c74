// Compatibility with clients of the last release: schema.graphql, and the check itself with bad input.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { breaking, named } from './schema-diff.mjs';

/** A schema for the tests of the check, independent of the real one. */
const schema = `
interface Node { id: ID! }
type Provider implements Node {
  id: ID!
  name: String!
  status: ProviderStatus!
  lastSyncAt: String
  legacy: Legacy
}
type Legacy {
  uuid: String!
}
enum ProviderStatus {
  HEALTHY
  NEEDS_REAUTH
}
input ProviderFilter {
  connected: Boolean
}
type Query {
  providers(filter: ProviderFilter, first: Int): [Provider!]
  providersByIds(ids: [ID!]!): [Provider]!
}
`;
const script = new URL('schema-diff.mjs', import.meta.url).pathname;

/** Runs the command on these texts and returns exit code and output. */
function run(t, old, now, changelog) {
  const directory = mkdtempSync(join(tmpdir(), 'switchboard-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const files = Object.entries({ 'old.graphql': old, 'now.graphql': now, 'CHANGELOG.md': changelog }).map(([name, text]) => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  });
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...files], { encoding: 'utf8' });
  return { status, said: stdout + stderr };
}

const unreleased = (...lines) => ['# Changelog', '', '## [Unreleased]', '', ...lines, ''].join('\n');
/** The schema with `found` replaced, which must occur once. */
function changed(found, replacement) {
  assert.equal(schema.split(found).length, 2, found);
  return schema.replace(found, replacement);
}
const without = () => changed('  lastSyncAt: String\n', '');

test('schema.graphql has no unlisted breaking change since the last release', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
});

test('it runs through a symbolic link too', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'switchboard-'));
  t.after(() => rmSync(directory, { recursive: true }));
  symlinkSync(script, join(directory, 'schema-diff.mjs'));
  const { stdout, stderr } = spawnSync(process.execPath, [join(directory, 'schema-diff.mjs')], { encoding: 'utf8' });
  assert.match(stdout + stderr, /breaking change/);
});

describe('the check', () => {
  test('a removed field fails with its coordinate', (t) => {
    const { status, said } = run(t, schema, without(), unreleased('### Removed', '', '- `Provider.lastSyncAt`.'));
    assert.equal(status, 1);
    assert.match(said, /^Provider\.lastSyncAt: Field 'lastSyncAt' was removed from object type 'Provider'$/m);
    assert.match(said, /List each coordinate under "### Breaking"/);
  });

  test('a change under Breaking passes', (t) => {
    const changelog = unreleased('### Breaking', '', '- `Provider.lastSyncAt` is gone: it was unused.', '', '### Added');
    const { status, said } = run(t, schema, without(), changelog);
    assert.deepEqual({ status, said }, { status: 0, said: '1 breaking changes, all named in the changelog\n' });
  });

  test('another coordinate, an older release, or a partial name does not count', (t) => {
    for (const changelog of [
      unreleased('### Breaking', '', '- `Provider.last`'),
      unreleased('### Breaking', '', '- `ProviderEdge.lastSyncAt`'),
      unreleased('### Breaking', '', '- Provider.lastSyncAt'),
      unreleased('### Added', '', '- Nothing', '', '## [0.1.0]', '', '### Breaking', '', '- `Provider.lastSyncAt`'),
    ]) assert.equal(run(t, schema, without(), changelog).status, 1, changelog);
  });

  test('a named type covers its fields', (t) => {
    const fewer = changed('  legacy: Legacy\n', '').replace('type Legacy {\n  uuid: String!\n}\n', '');
    const both = unreleased('### Breaking', '', '- `Legacy` and `Provider.legacy` are gone.');
    const { status, said } = run(t, schema, fewer, both);
    assert.equal(status, 0, said);
  });

  test('additions pass', (t) => {
    const more = changed('  lastSyncAt: String\n', '  lastSyncAt: String\n  nextSyncAt(zone: String): String\n')
      .replace('  HEALTHY\n', '  HEALTHY\n  DEGRADED\n')
      .replace('input ProviderFilter {', 'input ProviderFilter {\n  scopes: [String!]');
    assert.deepEqual(run(t, schema, more, unreleased()), { status: 0, said: 'no breaking change\n' });
  });

  for (const [what, found, replacement, path] of [
    ['a field that became nullable', '  name: String!\n', '  name: String\n', 'Provider.name'],
    ['a new required argument', 'providersByIds(ids: [ID!]!)', 'providersByIds(ids: [ID!]!, tenant: ID!)', 'Query.providersByIds.tenant'],
    ['a removed argument', ', first: Int)', ')', 'Query.providers.first'],
    ['an input field that became required', '  connected: Boolean\n', '  connected: Boolean!\n', 'ProviderFilter.connected'],
    ['a removed enum value', '  NEEDS_REAUTH\n', '', 'ProviderStatus.NEEDS_REAUTH'],
    ['a type that no longer implements Node', 'type Provider implements Node {', 'type Provider {', 'Provider'],
  ]) {
    test(`${what} breaks`, async () => {
      const changes = await breaking(schema, changed(found, replacement));
      assert.deepEqual(changes.map((change) => change.path), [path]);
    });
  }

  test('it reads only the coordinates of Unreleased', () => {
    const changelog = `${unreleased('### Breaking', '', '- `A.b` and `C`', '', '### Fixed', '', '- `D`')}\n## [0.1.0]\n\n### Breaking\n\n- \`E\`\n`;
    assert.deepEqual(named(changelog), ['A.b', 'C']);
  });
});
