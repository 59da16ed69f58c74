// The audits of the GraphQL over HTTP working group: one test for each audit of npm graphql-http.
//
// Against SWITCHBOARD_URL if it is set, else against a new `switchboard demo` of SWITCHBOARD_BIN or the debug build.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { serverAudits } from 'graphql-http';

const AUDITS = 61;

async function demo() {
  const built = fileURLToPath(new URL('../../target/debug/switchboard', import.meta.url));
  const server = spawn(process.env.SWITCHBOARD_BIN ?? built, ['demo', '--listen', '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  after(() => server.kill());
  await once(server, 'spawn');
  let url;
  for await (const line of createInterface({ input: server.stdout })) {
    url = /GraphQL: (http:\/\/\S+\/graphql)/.exec(line)?.[1];
    if (url !== undefined) break;
  }
  assert.ok(url, 'the demo ended without printing where its graph is');
  // Later output must not fill the pipe.
  server.stdout.resume();
  return url;
}

const url = process.env.SWITCHBOARD_URL ?? (await demo());
const audits = serverAudits({ url });

test('no audit is missing', () => assert.equal(audits.length, AUDITS));

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn();
    // undici holds a connection while its body is unread.
    if (result.status !== 'ok') {
      const { status, headers } = result.response;
      const body = await result.response.text().catch(() => '(read already)');
      assert.fail(`${result.reason}; answered ${status} ${headers.get('content-type')}: ${body}`);
    }
  });
}
