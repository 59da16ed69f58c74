// PyPI schemathesis: two thousand requests made up from the schema, none of which may be the server's fault.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';

import { programs } from './python.mjs';
import { start } from './support.mjs';

// For each of the root fields; those that take no argument have fewer to make up.
const EXAMPLES = 170;
const CASES = 2000;

describe('schemathesis', () => {
  let demo;
  before(async () => {
    demo = await start('demo', '--listen', '127.0.0.1:0');
  });
  after(() => demo?.stop());

  it(`finds no server error in ${CASES} cases`, async () => {
    // It counts an error whose code is none of a client's as the server's, whatever the status.
    const run = spawn(
      `${programs()}/schemathesis`,
      ['run', new URL('graphql', demo.url).href, '--checks', 'not_a_server_error', '--continue-on-failure', '--phases', 'fuzzing',
        '--max-examples', String(EXAMPLES), '--no-color'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let said = '';
    run.stdout.on('data', (chunk) => {
      said += chunk;
    });
    const code = await new Promise((resolve) => run.once('close', resolve));
    assert.equal(code, 0, said);
    const [, generated] = /(\d+) generated, \1 passed/.exec(said) ?? assert.fail(said);
    assert.ok(Number(generated) >= CASES, `${generated} cases`);
  });
});
