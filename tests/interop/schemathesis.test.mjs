// PyPI schemathesis: two thousand generated requests, none of which may cause a server error.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';

import { programs } from './python.mjs';
import { start } from './support.mjs';

// For each root field. Fields without arguments have fewer examples.
const EXAMPLES = 170;
const CASES = 2000;

describe('schemathesis', () => {
  let demo;
  before(async () => {
    demo = await start('demo', '--listen', '127.0.0.1:0');
  });
  after(() => demo?.stop());

  it(`finds no server error in ${CASES} cases`, async () => {
    // An error with a code that is not a client error counts as a server error, independent of the status.
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
