// Validity of requests: graphql-js and Switchboard accept and refuse the same requests for the printed schema.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';

import { buildSchema, getOperationAST, getVariableValues, parse, validate } from 'graphql';

import { probes } from './probes.mjs';
import { binary, start } from './support.mjs';

/** Intended differences, with reasons. */
const REFUSED_WHOLE =
  'the variables alone decide: graphql-js nulls the field when it resolves it, Switchboard executes nothing';
const known = {
  'a nullable variable with a default in a non-null position, given null': REFUSED_WHOLE,
  'a nullable variable in a non-null position with a default, given null': REFUSED_WHOLE,
};

/** The reason why graphql-js refuses a request, or nothing if it would execute it. */
function refusal(schema, text, variables, operationName) {
  let document;
  try {
    document = parse(text);
  } catch (error) {
    return error.message;
  }
  const [wrong] = validate(schema, document);
  if (wrong) return wrong.message;
  const operation = getOperationAST(document, operationName);
  if (!operation) return 'no such operation';
  // graphql-js checks this only at execution.
  if (!schema.getRootType(operation.operation)) return 'no such root';
  const { errors } = getVariableValues(schema, operation.variableDefinitions ?? [], variables);
  if (errors) return errors[0].message;
}

describe('request validation', () => {
  let demo, url, schema;
  before(async () => {
    demo = await start('demo', '--listen', '127.0.0.1:0');
    url = new URL('graphql', demo.url).href;
    schema = buildSchema(execFileSync(binary, ['schema'], { encoding: 'utf8' }));
  });
  after(() => demo?.stop());

  it('has enough requests, each once', () => {
    assert.ok(probes.length >= 90, `${probes.length} probes`);
    const asked = probes.map(([, ...request]) => JSON.stringify(request));
    assert.equal(new Set(asked).size, asked.length);
    assert.equal(new Set(probes.map(([what]) => what)).size, probes.length);
  });

  for (const [what, query, variables = {}, operationName] of probes) {
    it(what, async () => {
      const theirs = refusal(schema, query, variables, operationName);
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
        body: JSON.stringify({ query, variables, operationName }),
      });
      const answer = await response.json();
      assert.ok(response.status < 500, JSON.stringify(answer));
      const ours = 'data' in answer ? undefined : answer.errors[0].message;
      const agree = (theirs === undefined) === (ours === undefined);
      const said = `graphql-js: ${theirs ?? 'accepted'}; Switchboard: ${ours ?? 'accepted'}`;
      assert.equal(agree, known[what] === undefined, said);
    });
  }
});
