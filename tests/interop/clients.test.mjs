// The client examples, run as their README says, each against a demo of its own: what they print, and the upstream calls
// behind it. All three clients do one job, so one transcript is right for each of them.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';

import { start, startDemo, startSandbox } from './support.mjs';

const run = promisify(execFile);
const folder = (client) => resolve(import.meta.dirname, '../../examples', client);

/** The output of the README's command. */
async function npmStart(client, url) {
  const { stdout } = await run('npm', ['--silent', 'start', '--', url], { cwd: folder(client) });
  return stdout.trimEnd().split('\n');
}

/** The expected output in the README: its text block. */
const shown = (client) => /^```text\n(.*?)\n```$/ms.exec(readFileSync(join(folder(client), 'README.md'), 'utf8'))[1].split('\n');

/** Runs the program again without its build output. */
async function again(client, url, program = 'main.mjs') {
  const { stdout } = await run(process.execPath, [program, url], { cwd: folder(client) });
  return stdout.trimEnd().split('\n');
}

/** The upstream calls by path and the distinguishing part of the query. */
const calls = (requests) => requests.map(({ target }) => {
  const { pathname, searchParams } = new URL(target, 'http://upstream');
  const values = ['toolkit_slugs', 'connected_account_ids', 'order_direction'].map((name) => searchParams.get(name));
  return [pathname.split('/').pop(), ...values.filter(Boolean)].join(' ');
});

const accounts = [
  'forward: 20 accounts of gmail in 3 pages',
  'backward: 20 in 3 pages, the same list',
  'read again by node: ca_GBWCnRHkRQ13 is ACTIVE',
];
// Three forward pages are one upstream call, three backward pages another.
const accountCalls = [
  'connected_accounts gmail desc',
  'connected_accounts gmail asc',
  'connected_accounts ca_GBWCnRHkRQ13 desc',
];
const composioIsDown = 'UPSTREAM_UNAVAILABLE: The connected-accounts API (Composio) is unavailable.';
const leadlexIsDown = 'UPSTREAM_UNAVAILABLE: The workspace API (LeadLex) is unavailable.';

const clients = [
  { client: 'relay', why: ': UPSTREAM_UNAVAILABLE', whole: [], inPart: [] },
  {
    client: 'apollo-client',
    why: '',
    // Three documents, each sent once. All pages share one document.
    whole: ['asked: 5 by GET with a hash, 3 with the document'],
    inPart: ['asked: 2 by GET with a hash, 2 with the document'],
  },
  {
    client: 'urql',
    why: ': UPSTREAM_UNAVAILABLE',
    whole: ['asked: 5 by GET with a hash, 3 with the document'],
    inPart: ['asked: 2 by GET with a hash, 2 with the document'],
  },
];

/**
 * A graph over a sandbox whose gmail accounts change after the first page of them, so that all later accounts move. `changes`
 * receives their ids. `cursor` is the kind of the upstream's cursor.
 */
async function startChanging(t, cursor, changes) {
  const sandbox = await startSandbox('--cursor', cursor);
  t.after(() => sandbox.stop());
  const directory = mkdtempSync(join(tmpdir(), 'switchboard-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const config = join(directory, 'switchboard.toml');
  // As many rows as a page of the clients, so that later rows are read on request.
  writeFileSync(config, `
    [upstream.leadlex]
    base_url = "${sandbox.url}/functions/v1/api-gateway"
    api_key = "wbk_sandbox_a"
    [upstream.composio]
    base_url = "${sandbox.url}"
    api_key = "ak_sandbox_a"
    [lists]
    page_rows = 7
  `);
  const graph = await start('serve', '--config', config, '--listen', '127.0.0.1:0', '--ops-listen', '127.0.0.1:0');
  t.after(() => graph.stop());

  const headers = { 'x-api-key': 'ak_sandbox_a' };
  const list = await fetch(`${sandbox.url}/api/v3/connected_accounts?toolkit_slugs=gmail&limit=20`, { headers });
  const ids = (await list.json()).items.map(({ id }) => id);
  const change = async (method, account) => {
    const { status } = await fetch(`${sandbox.url}/__accounts/${account}`, { method, headers });
    assert.equal(status, 204);
  };
  let unchanged = true;
  const door = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { method, url } = request;
    const { 'content-type': type = '', accept = '*/*' } = request.headers;
    const answer = await fetch(new URL(url, graph.url), { method, headers: { 'content-type': type, accept }, body: body || undefined });
    const text = await answer.text();
    if (unchanged && text.includes('"edges"')) {
      unchanged = false;
      for (const [how, account] of changes(ids)) await change(how, account);
    }
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') });
    response.end(text);
  });
  await new Promise((listening) => door.listen(0, '127.0.0.1', listening));
  t.after(() => new Promise((stopped) => door.close(stopped) && door.closeAllConnections()));
  return `http://127.0.0.1:${door.address().port}/graphql`;
}

for (const { client, why, whole, inPart } of clients) {
  describe(client, () => {
    test('pages both ways, refetches by node, and shows both APIs', async (t) => {
      const demo = await startDemo(t);
      const printed = await npmStart(client, demo.graphql);
      assert.deepEqual(printed, [
        ...accounts,
        'gmail is HEALTHY, its newest account is ACTIVE',
        'google is HEALTHY, its newest account is INACTIVE',
        'slack is HEALTHY, its newest account is ACTIVE',
        ...whole,
      ]);
      assert.deepEqual(shown(client), printed);
      // The gmail accounts are cached by then. Those of the other integrations are one call.
      assert.deepEqual(calls(await demo.requests()), [
        ...accountCalls,
        'providers',
        'connected_accounts googlecalendar,slack,slackbot desc',
      ]);
    });

    test('shows the integrations, and one error, while Composio is down', async (t) => {
      const demo = await startDemo(t, '--scenario', 'composio-down');
      assert.deepEqual(await again(client, demo.graphql), [
        composioIsDown,
        composioIsDown,
        'the accounts of gmail: not there',
        composioIsDown,
        `gmail is HEALTHY, its accounts are not there${why}`,
        `google is HEALTHY, its accounts are not there${why}`,
        `slack is HEALTHY, its accounts are not there${why}`,
        ...inPart,
      ]);
      assert.equal(calls(await demo.requests()).filter((call) => call === 'providers').length, 1);
    });

    test('shows the accounts, and one error, while LeadLex is down', async (t) => {
      const demo = await startDemo(t, '--scenario', 'leadlex-down');
      assert.deepEqual(await again(client, demo.graphql), [...accounts, leadlexIsDown, ...whole]);
      const asked = calls(await demo.requests());
      assert.deepEqual(asked.filter((call) => call !== 'providers'), accountCalls);
    });

    test('reconnects a broken account, and removes it after the sign-in', async (t) => {
      const demo = await startDemo(t);
      const program = spawn('npm', ['run', '--silent', 'reconnect', '--', 'ca_uRCFBbjM4Cl7', demo.graphql], { cwd: folder(client), stdio: ['pipe', 'pipe', 'inherit'] });
      const lines = [];
      for await (const line of createInterface({ input: program.stdout })) {
        lines.push(line);
        if (!line.startsWith('Sign in at ')) continue;
        const page = await fetch(line.slice('Sign in at '.length), { method: 'POST', body: new URLSearchParams({ decision: 'allow' }) });
        assert.match(await page.text(), /Connected/);
        program.stdin.end('\n');
      }
      assert.deepEqual(lines.slice(1), ['Then press Enter.', 'ca_link00000001 is ACTIVE, ca_uRCFBbjM4Cl7 is removed']);
      const writes = (await demo.requests()).filter(({ method }) => method !== 'GET').map(({ method, target }) => `${method} ${target}`);
      assert.deepEqual(writes, ['POST /api/v3/connected_accounts/link', 'DELETE /api/v3/connected_accounts/ca_uRCFBbjM4Cl7']);
    });

    test('misses no account when others are deleted between two pages', async (t) => {
      // Deletes one account that was returned and one that was not. (With page numbers the upstream itself would skip one.)
      const url = await startChanging(t, 'keyset', (ids) => [['DELETE', ids[2]], ['DELETE', ids[9]]]);
      const [forward, backward] = await again(client, url);
      assert.equal(forward, 'forward: 19 accounts of gmail in 3 pages');
      assert.equal(backward, 'backward: 18 in 3 pages, another list');
    });

    test('repeats no account when others are added between two pages', async (t) => {
      const made = ['ca_one', 'ca_two'].map((id) => ['PUT', `${id}?toolkit=gmail&user_id=user_1`]);
      const url = await startChanging(t, 'page', () => made);
      const [forward, backward] = await again(client, url);
      assert.equal(forward, 'forward: 20 accounts of gmail in 3 pages');
      assert.equal(backward, 'backward: 22 in 4 pages, another list');
    });
  });
}

describe('codegen', () => {
  const lines = [
    'discord is NEEDS_REAUTH (The bot was removed from the server): ',
    'linkedin is NEEDS_REAUTH (The token expired on 2026-04-16): ',
    'gmail is NEEDS_REAUTH (Consent was withdrawn): ',
  ];
  const users = ['user_7 EXPIRED, user_28 ACTIVE', 'user_10 ACTIVE, user_31 ACTIVE', 'user_0 ACTIVE, user_21 ACTIVE'];

  test('documents get types that tsc accepts, and responses', async (t) => {
    const demo = await startDemo(t);
    const printed = await npmStart('codegen', demo.graphql);
    assert.deepEqual(printed, lines.map((line, place) => line + users[place]));
    assert.deepEqual(shown('codegen'), printed);
    assert.deepEqual(calls(await demo.requests()), ['providers', 'connected_accounts discord,discordbot,gmail,linkedin desc']);
  });

  test('types allow the null of a failed field', async (t) => {
    const demo = await startDemo(t, '--scenario', 'composio-down');
    const without = lines.map((line) => `${line}its accounts are not there`);
    assert.deepEqual(await again('codegen', demo.graphql, 'dist/main.js'), [composioIsDown, ...without]);
  });

  test('tsc rejects an unknown field and an unchecked null', async (t) => {
    const source = resolve(folder('codegen'), 'src/generated/wrong.ts');
    t.after(() => rmSync(source));
    writeFileSync(source, `
      import type { AttentionQuery } from './graphql.js';
      export const name = (data: AttentionQuery) => data.providers.nodes[0]?.title;
    `);
    const { stdout } = await run('npx', ['--no-install', 'tsc', '--noEmit'], { cwd: folder('codegen') }).catch((error) => error);
    assert.match(stdout, /wrong\.ts.*TS18047: 'data\.providers' is possibly 'null'/);
    assert.match(stdout, /wrong\.ts.*TS2339: Property 'title' does not exist/);
  });
});
