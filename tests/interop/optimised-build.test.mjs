// The training of the optimised build, with few requests and the binary under test. The build itself takes half an hour.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { binary } from './support.mjs';

const run = promisify(execFile);
const train = fileURLToPath(new URL('../../deploy/pgo/train', import.meta.url));

test('every training request succeeds', async () => {
  const { stdout, stderr } = await run(train, [binary, '2']);
  assert.equal(stdout + stderr, '');
});

test('the training of the start succeeds', async () => {
  const { stdout, stderr } = await run(train, [binary, '0']);
  assert.equal(stdout + stderr, '');
});

test('a binary that does not start is an error with its output', async () => {
  await assert.rejects(run(train, ['/bin/cat']), (failed) => {
    assert.match(failed.stderr, /^train: "\S*cat sandbox .*" did not start:\n.*cat: .*option/s);
    return failed.code === 1;
  });
});
