// The schema as graphql-eslint judges it: Relay's rules, ids, names, descriptions. What it judges is `switchboard
// schema`; that schema.graphql is the same is a Rust test's. Each exception says why it is one.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import graphqlEslint from '@graphql-eslint/eslint-plugin';
import { ESLint } from 'eslint';
import { binary } from './support.mjs';

const rules = {
  'relay-arguments': 'error',
  'relay-connection-types': 'error',
  // `nodes` beside `edges`, and the by-ids roots, are lists of something else than edges.
  'relay-edge-types': ['error', { withEdgeSuffix: true, shouldImplementNode: true, listTypeCanWrapOnlyEdgeType: false }],
  'relay-page-info': 'error',
  'strict-id-in-types': [
    'error',
    {
      acceptedIdNames: ['id'],
      acceptedIdTypes: ['ID'],
      exceptions: {
        suffixes: ['Connection', 'Edge', 'Count'],
        // Values without an identity: parts of a page and of a connected account, whoever asks, and what is known of sources.
        types: [
          'PageInfo', 'Viewer', 'ConnectionState', 'ConnectionSetting', 'LegacyAccount', 'DataFreshness',
          'RefreshPayload', 'Upstream', 'UpstreamQuota', 'UpstreamErrorInfo', 'UpstreamCacheStatistics',
        ],
      },
    },
  ],
  // Fields, inputs and enum values whose name says it all have none.
  'require-description': ['error', { types: true, rootField: true, DirectiveDefinition: true }],
  'description-style': ['error', { style: 'inline' }],
  'no-hashtag-description': 'error',
  'no-unreachable-types': 'error',
  'naming-convention': [
    'error',
    {
      types: 'PascalCase',
      FieldDefinition: 'camelCase',
      InputValueDefinition: 'camelCase',
      Argument: 'camelCase',
      DirectiveDefinition: 'camelCase',
      EnumValueDefinition: 'UPPER_CASE',
      'FieldDefinition[parent.name.value=Query]': { forbiddenPrefixes: ['query', 'get'], forbiddenSuffixes: ['Query'] },
      'EnumTypeDefinition,EnumTypeExtension': { forbiddenPrefixes: ['Enum'], forbiddenSuffixes: ['Enum'] },
      'InterfaceTypeDefinition,InterfaceTypeExtension': { forbiddenPrefixes: ['Interface'], forbiddenSuffixes: ['Interface'] },
      'ObjectTypeDefinition,ObjectTypeExtension': { forbiddenPrefixes: ['Type'], forbiddenSuffixes: ['Type'] },
    },
  ],
};

const schema = execFileSync(binary, ['schema'], { encoding: 'utf8' });

async function lint(text) {
  const eslint = new ESLint({
    overrideConfigFile: true,
    overrideConfig: [
      {
        files: ['**/*.graphql'],
        languageOptions: {
          parser: graphqlEslint.parser,
          parserOptions: { graphQLConfig: { schema: text } },
        },
        plugins: { '@graphql-eslint': graphqlEslint },
        rules: Object.fromEntries(Object.entries(rules).map(([name, how]) => [`@graphql-eslint/${name}`, how])),
      },
    ],
  });
  const [result] = await eslint.lintText(text, { filePath: 'schema.graphql' });
  return result.messages.map(({ line, ruleId, message }) => `${line}: ${ruleId}: ${message}`);
}

test('graphql-eslint has nothing against the schema', async () => assert.deepEqual(await lint(schema), []));

test('graphql-eslint would have something against a connection that is none', async () => {
  const broken = schema.replace('edges: [ProviderEdge!]!', 'edges: ProviderEdge!');
  assert.notEqual(broken, schema);
  assert.match((await lint(broken)).join('\n'), /relay-connection-types/);
});
