// graphql-eslint on the schema: Relay rules, ids, names, descriptions, no duplicate and no unreachable types. It checks
// `switchboard schema` in each format. A Rust test compares schema.graphql with the plain format. Each exception has a reason.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import graphqlEslint from '@graphql-eslint/eslint-plugin';
import { ESLint } from 'eslint';
import { parse } from 'graphql';
import { binary } from './support.mjs';

const rules = {
  'relay-arguments': 'error',
  'relay-connection-types': 'error',
  // `nodes` beside `edges`, and root fields by ids, are lists of other types than edges.
  'relay-edge-types': ['error', { withEdgeSuffix: true, shouldImplementNode: true, listTypeCanWrapOnlyEdgeType: false }],
  'relay-page-info': 'error',
  'strict-id-in-types': [
    'error',
    {
      acceptedIdNames: ['id'],
      acceptedIdTypes: ['ID'],
      exceptions: {
        suffixes: ['Connection', 'Edge', 'Count', 'Payload'],
        // Values without an identity: parts of a page or a connected account, the viewer, and the state of upstreams.
        types: [
          'PageInfo', 'Viewer', 'ConnectionState', 'ConnectionSetting', 'LegacyAccount', 'DataFreshness',
          'HealthVerdict', 'HealthReason', 'IntegrationHealth', 'Upstream', 'UpstreamQuota', 'UserError',
          'UpstreamErrorInfo', 'UpstreamCacheStatistics',
        ],
      },
    },
  ],
  // Self-explanatory fields, inputs and enum values have no description. Root fields are tested below, because this rule's
  // `rootField` does not work with more than one root type.
  'require-description': ['error', { types: true, DirectiveDefinition: true }],
  // The printer writes descriptions of one line inline, and longer ones as blocks.
  'description-style': 'off',
  'no-hashtag-description': 'error',
  'no-unreachable-types': 'error',
  'unique-type-names': 'error',
  'unique-field-definition-names': 'error',
  'unique-enum-value-names': 'error',
  'unique-directive-names': 'error',
  'unique-directive-names-per-location': 'error',
  'known-type-names': 'error',
  'known-directives': 'error',
  'known-argument-names': 'error',
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

/** The formats that the command's help lists. */
const formats = [...execFileSync(binary, ['schema', '--help'], { encoding: 'utf8' }).matchAll(/^ +- (plain|federation|stitching):/gm)]
  .map(([, format]) => format);

test('every format is checked', () => assert.deepEqual(formats.toSorted(), ['federation', 'plain', 'stitching']));

const print = (format) =>
  execFileSync(binary, format === 'plain' ? ['schema'] : ['schema', '--format', format], { encoding: 'utf8' });

/** The differences of the formats for machines. */
const differences = {
  plain: {},
  federation: {
    'description-style': ['error', { style: 'block' }],
  },
  stitching: {
    'description-style': ['error', { style: 'block' }],
    // Names that stitching gateways require: `_sdl`, and directives that are documented by their package.
    'naming-convention': ['error', { ...rules['naming-convention'][1], allowLeadingUnderscore: true }],
    'require-description': ['error', { types: true }],
  },
};
/** Known false alarms. */
const falseAlarms = [
  // A directive for schemas only.
  /no-unreachable-types: Directive `\w+` is unreachable/,
  // Definitions that a subgraph imports by @link.
  /known-directives: Unknown directive "@(link|key|shareable|tag|cost|listSize)"/,
];

async function lint(text, format = 'plain') {
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
        rules: Object.fromEntries(Object.entries({ ...rules, ...differences[format] }).map(([name, how]) => [`@graphql-eslint/${name}`, how])),
      },
    ],
  });
  const [result] = await eslint.lintText(text, { filePath: 'schema.graphql' });
  return result.messages
    .map(({ line, ruleId, message }) => `${line}: ${ruleId}: ${message}`)
    .filter((complaint) => !falseAlarms.some((alarm) => alarm.test(complaint)));
}

/** The root fields without a description. */
const silent = (text) => parse(text).definitions
  .filter(({ name }) => ['Query', 'Mutation', 'Subscription'].includes(name?.value))
  .flatMap(({ fields }) => fields.filter(({ description }) => !description).map(({ name }) => name.value));

for (const format of formats) {
  test(`graphql-eslint accepts the ${format} schema`, async () => assert.deepEqual(await lint(print(format), format), []));
  test(`every root field of the ${format} schema has a description`, () => assert.deepEqual(silent(print(format)), []));
}

const schema = print('plain');
for (const [what, found, replacement, rule] of [
  ['a malformed connection', 'edges: [ProviderEdge!]!', 'edges: ProviderEdge!', 'relay-connection-types'],
  ['an unreachable type', 'scalar DateTime', 'scalar DateTime\n\n"Unused."\nscalar Unused', 'no-unreachable-types'],
  ['a duplicate type', 'scalar DateTime', 'scalar DateTime\n\n"Another."\nscalar DateTime', 'unique-type-names'],
  ['a duplicate field', '  lastSyncAt: DateTime\n', '  lastSyncAt: DateTime\n  lastSyncAt: DateTime\n', 'unique-field-definition-names'],
  ['a name in another style', '  lastSyncAt: DateTime\n', '  last_sync_at: DateTime\n', 'naming-convention'],
  ['a type without a description', '"A timestamp in RFC 3339 format, always with an offset."\nscalar DateTime', 'scalar DateTime', 'require-description'],
  ['an undefined directive', 'scalar DateTime', 'scalar DateTime @unheard', 'known-directives'],
]) {
  test(`graphql-eslint rejects ${what}`, async () => {
    const broken = schema.replace(found, replacement);
    assert.notEqual(broken, schema);
    assert.match((await lint(broken)).join('\n'), new RegExp(rule));
  });
}

test('a root field without a description is found', () => {
  const broken = schema.replace('  "The caller of this request."\n  viewer', '  viewer');
  assert.deepEqual(silent(broken), ['viewer']);
});
