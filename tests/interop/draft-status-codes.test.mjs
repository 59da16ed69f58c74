// `http.draft_status_codes`: what the released clients make of 294 (data with errors) and 422 (a document that is not valid).

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { start, startSandbox } from './support.mjs';

const run = promisify(execFile);
const folder = (client) => resolve(import.meta.dirname, '../../examples', client);

/** A graph over a sandbox whose Composio cannot be reached, and the statuses of its responses. */
async function startGraph(t, draft) {
  const sandbox = await startSandbox();
  t.after(() => sandbox.stop());
  const directory = mkdtempSync(join(tmpdir(), 'switchboard-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const config = join(directory, 'switchboard.toml');
  writeFileSync(config, `
    [http]
    draft_status_codes = ${draft}
    [upstream.leadlex]
    base_url = "${sandbox.url}/functions/v1/api-gateway"
    api_key = "wbk_sandbox_a"
    [upstream.composio]
    base_url = "http://127.0.0.1:1"
    api_key = "ak_sandbox_a"
  `);
  const graph = await start('serve', '--config', config, '--listen', '127.0.0.1:0', '--ops-listen', '127.0.0.1:0');
  t.after(() => graph.stop());
  const statuses = [];
  const recorder = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { method, url, headers } = request;
    const { 'content-type': type = '', accept = '*/*' } = headers;
    const answer = await fetch(new URL(url, graph.url), { method, headers: { 'content-type': type, accept }, body: body || undefined });
    statuses.push(answer.status);
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') });
    response.end(await answer.text());
  });
  await new Promise((listening) => recorder.listen(0, '127.0.0.1', listening));
  t.after(() => new Promise((stopped) => recorder.close(stopped) && recorder.closeAllConnections()));
  return { url: `http://127.0.0.1:${recorder.address().port}/graphql`, statuses };
}

/** The output of the client's example. */
async function output(client, url) {
  const { stdout } = await run(process.execPath, ['main.mjs', url], { cwd: folder(client) });
  return stdout.trimEnd().split('\n');
}

for (const client of ['relay', 'apollo-client', 'urql']) {
  test(`${client} shows the same with 294 as with 200`, async (t) => {
    if (client === 'relay') await run('npm', ['run', '--silent', 'compile'], { cwd: folder(client) });
    const before = await startGraph(t, false);
    const expected = await output(client, before.url);
    assert.ok(!before.statuses.includes(294), before.statuses);
    const after = await startGraph(t, true);
    assert.deepEqual(await output(client, after.url), expected);
    assert.ok(after.statuses.includes(294), after.statuses);
    assert.ok(expected.some((line) => line.startsWith('UPSTREAM_UNAVAILABLE')), expected.join('\n'));
  });
}

/** The message that a client reports for a document that is not valid. The program runs in the folder of the client's example. */
const programs = {
  'apollo-client': `
    import { gql } from "@apollo/client";
    import { newClient } from "./client.mjs";
    const { error } = await newClient(process.argv[1]).client.query({ query: gql("{ nothing }") });
    console.log(error.message);`,
  urql: `
    import { Client, fetchExchange } from "@urql/core";
    const client = new Client({ url: process.argv[1], exchanges: [fetchExchange], preferGetMethod: false });
    const { error } = await client.query("{ nothing }", {}).toPromise();
    console.log(error.message);`,
};

for (const [client, program] of Object.entries(programs)) {
  test(`${client} reports the error of a 422 as that of a 400`, async (t) => {
    for (const [draft, status] of [[false, 400], [true, 422]]) {
      const graph = await startGraph(t, draft);
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program, graph.url], { cwd: folder(client) });
      assert.match(stdout, /Cannot query field "nothing" on type "Query"\./);
      assert.equal(graph.statuses.at(-1), status);
    }
  });
}
