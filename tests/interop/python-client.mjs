// PyPI composio-client behind a function: composio_python.py in a process of its own.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { programs } from './python.mjs';

/** `see` sends one request to `url` and resolves with its result, as composio_python.py describes them. */
export function pythonClient(url) {
  const script = fileURLToPath(new URL('composio_python.py', import.meta.url));
  const child = spawn(`${programs()}/python`, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    async see(question) {
      child.stdin.write(`${JSON.stringify({ url, ...question })}\n`);
      const { value, done } = await answers.next();
      assert.ok(!done, 'composio_python.py ended');
      return JSON.parse(value);
    },
    stop: () => child.stdin.end(),
  };
}
