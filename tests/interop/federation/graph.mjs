// A demo behind a counting proxy, the other service, a gateway in front of both, and the queries to it.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { credentialsOf } from '../../../examples/federation/caller.mjs';
import { parse, subgraphs } from '../../../examples/federation/compose.mjs';
import { ask, demo } from '../../../examples/federation/demo.mjs';
import { serve } from '../../../examples/federation/people.mjs';
import { binary, start as switchboard, startSandbox } from '../support.mjs';

/** Forwards requests to `url` and records them. */
async function door(url) {
  const asked = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { method, headers } = request;
    // A gateway may subscribe by GET.
    const { search, searchParams } = new URL(request.url, url);
    const caller = credentialsOf(headers);
    const operation = body ? JSON.parse(body) : Object.fromEntries(searchParams);
    asked.push({ ...operation, caller, requestId: headers['x-request-id'] });
    const ended = new AbortController();
    response.once('close', () => ended.abort());
    try {
      const answer = await fetch(url + search, {
        method,
        headers: { ...caller, accept: headers.accept, 'content-type': 'application/json' },
        body: body || undefined,
        signal: ended.signal,
      });
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') });
      // As a stream, because the response may be a subscription's.
      response.flushHeaders();
      for await (const part of answer.body) response.write(part);
      response.end();
    } catch {
      response.destroy();
    }
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${server.address().port}/graphql`,
    take: () => asked.splice(0),
    stop: () => new Promise((stopped) => server.close(stopped) && server.closeAllConnections()),
  };
}

/** Switchboard in token mode on its own sandbox, with the tokens of an ADMIN and of the MEMBER `user_1`. */
export async function guarded() {
  const made = (...args) => execFileSync(binary, ['token', 'new', ...args], { encoding: 'utf8' });
  const all = [made('--name', 'admin'), made('--name', 'member', '--user-id', 'user_1')];
  const entries = all.map((text) => text.slice(text.indexOf('[[auth.tokens]]')));
  const [admin, member] = all.map((text) => /^swb_\S+$/m.exec(text)[0]);
  const sandbox = await startSandbox();
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-'));
  const config = join(folder, 'switchboard.toml');
  await writeFile(config, `
    auth.mode = "tokens"
    upstream.leadlex = { base_url = "${sandbox.url}/functions/v1/api-gateway", api_key = "wbk_sandbox_a" }
    upstream.composio = { base_url = "${sandbox.url}", api_key = "ak_sandbox_a" }
    ${entries.join('\n')}
  `);
  const graph = await switchboard('serve', '--config', config, '--listen', '127.0.0.1:0', '--ops-listen', '127.0.0.1:0').catch(async (error) => {
    await sandbox.stop();
    throw error;
  });
  return {
    url: new URL('/graphql', graph.url).href,
    sandbox: sandbox.url,
    admin,
    member,
    async stop() {
      await graph.stop();
      await sandbox.stop();
      await rm(folder, { recursive: true });
    },
  };
}

/** The supergraph by `composer` with Switchboard's schema as these settings, in environment variables, print it. */
export async function supergraphWith(composer, urls, settings) {
  const { stdout: sdl } = await promisify(execFile)(binary, ['schema', '--format', 'federation'], { env: settings });
  const [ours, theirs] = await subgraphs(urls);
  const { errors, supergraphSdl } = composer.composeServices([{ ...ours, typeDefs: parse(sdl) }, theirs]);
  assert.equal(errors, undefined);
  return supergraphSdl;
}

/** Both services behind a gateway, until `stop()`. */
export async function larger(start, schema, begin = demo) {
  const switchboard = await begin();
  const counting = await door(switchboard.url);
  const people = await serve(schema);
  const parts = [people, counting, switchboard];
  const stop = async () => {
    for (const part of parts) await part.stop();
  };
  const record = `${switchboard.sandbox}/__requests`;
  const gateway = await start({ switchboard: counting.url, people: people.url }).catch(async (error) => {
    await stop();
    throw error;
  });
  parts.unshift(gateway);
  return {
    stop,
    url: gateway.url,
    people: people.url,
    switchboard,
    /** The complete response, the requests to Switchboard, the number of requests to the people service, and the upstream calls. */
    async ask(query, variables, headers) {
      counting.take();
      await fetch(record, { method: 'DELETE' });
      const before = people.asked();
      const answer = await ask(gateway.url, query, variables, headers);
      const upstream = await (await fetch(record)).json();
      return { answer, asked: counting.take(), people: people.asked() - before, upstream: upstream.length };
    },
  };
}

/**
 * The queries to every gateway. Their order matters, because data is cached. The first reads a page of accounts and, batched, the
 * lists of five users. The second reads the lists of the other users, batched. The third finds everything cached. The fourth reads
 * the integrations and, batched, the accounts of five of them.
 */
export const questions = [
  {
    what: 'accounts with notes and people of the other service, and the accounts of those people',
    query: `{
      connectedAccounts(first: 5) {
        nodes { connectedAccountId status note user { id name connectedAccounts(first: 2) { totalCount nodes { userId } } } }
      }
    }`,
    right({ connectedAccounts: { nodes } }) {
      assert.equal(nodes.length, 5);
      for (const { connectedAccountId, status, note, user } of nodes) {
        assert.match(connectedAccountId, /^ca_/);
        assert.match(status, /^[A-Z]+$/);
        assert.match(note, /^Seen /);
        assert.equal(user.name, `Person ${user.id.slice(5)}`);
        assert.ok(user.connectedAccounts.totalCount > 0);
        for (const { userId } of user.connectedAccounts.nodes) assert.equal(userId, user.id);
      }
    },
  },
  {
    what: 'twenty people of the other service with their accounts in Switchboard and the notes on those',
    query: '{ team(order: ASC) { id name since connectedAccounts(first: 3) { nodes { userId note } } } }',
    right({ team }) {
      assert.equal(team.length, 20);
      for (const { id, name, connectedAccounts } of team) {
        assert.equal(name, `Person ${id.slice(5)}`);
        assert.ok(connectedAccounts.nodes.length > 0);
        for (const { userId, note } of connectedAccounts.nodes) {
          assert.equal(userId, id);
          assert.match(note, /^Seen /);
        }
      }
    },
  },
  {
    what: 'the root fields and the type of both services, as defined by the other service',
    query: '{ viewer { id locale } user(id: "user_3") { name connectedAccounts(first: 1) { nodes { userId } } } node(id: "user_4") { id } }',
    right: (data) =>
      assert.deepEqual(data, {
        viewer: { id: 'user_1', locale: 'en' },
        user: { name: 'Person 3', connectedAccounts: { nodes: [{ userId: 'user_3' }] } },
        node: { id: 'user_4' },
      }),
  },
  {
    what: 'integrations with their accounts and the notes on those accounts',
    query: '{ providers(first: 5) { nodes { name connectedAccounts(first: 2) { nodes { note } } } } }',
    right({ providers: { nodes } }) {
      assert.equal(nodes.length, 5);
      assert.match(nodes.flatMap(({ connectedAccounts }) => connectedAccounts.nodes)[0].note, /^Seen /);
    },
  },
];

/** A property of every gateway that uses entities: references of the other service are resolved. */
export async function referencesAreFound(graph) {
  const { answer } = await graph.ask('{ providers(first: 2) { nodes { id name } } }');
  const known = answer.data.providers.nodes;
  const query = `query ($ids: [ID!]!) {
    bookmarks(providers: $ids, toolkits: ["gmail", "slack"]) { providers { id name } toolkits { slug id connectedAccounts(first: 1) { nodes { status } } } }
  }`;
  const { answer: found, asked, people } = await graph.ask(query, { ids: known.map(({ id }) => id) });
  assert.equal(found.errors, undefined, JSON.stringify(found.errors));
  const { providers, toolkits } = found.data.bookmarks;
  assert.deepEqual(providers, known);
  assert.deepEqual(toolkits.map(({ slug }) => slug), ['gmail', 'slack']);
  for (const { connectedAccounts } of toolkits) assert.equal(connectedAccounts.nodes.length, 1);
  assert.equal(people, 1);
  for (const { query } of asked) assert.match(query, /_entities/);
}

/** A property of every gateway: an error of an upstream has its code, and the fields of other upstreams are returned. */
export async function upstreamErrorsHaveTheirCodes(graph) {
  const fault = `${graph.switchboard.sandbox}/__faults/composio`;
  await fetch(fault, { method: 'PUT', headers: { 'x-emulate': 'status=503' } });
  try {
    // With a filter that no other query has, so that nothing is cached.
    const { answer } = await graph.ask(`{
      connectedAccounts(first: 3, filter: { toolkits: ["slack"], statuses: [INACTIVE] }) { nodes { note } }
      providers(first: 1) { nodes { name } }
      viewer { id }
    }`);
    assert.equal(answer.data.connectedAccounts, null);
    assert.equal(answer.data.providers.nodes.length, 1);
    assert.deepEqual(answer.data.viewer, { id: 'user_1' });
    assert.equal(answer.errors.length, 1);
    const { code, upstream, retryable } = answer.errors[0].extensions;
    assert.deepEqual([code, upstream, retryable], ['UPSTREAM_UNAVAILABLE', 'COMPOSIO', true]);
    assert.match(answer.errors[0].message, /Composio/);
  } finally {
    await fetch(fault, { method: 'DELETE' });
  }
}

/** A property of every gateway: a mutation runs once, and its payload has fields of the other service. */
export async function mutationsRun(graph) {
  const { answer: before } = await graph.ask('{ user(id: "user_2") { connectedAccounts(first: 1, filter: { statuses: [ACTIVE] }) { nodes { id } } } }');
  const [{ id }] = before.data.user.connectedAccounts.nodes;
  const query = `mutation ($id: ID!, $enabled: Boolean!) {
    setAccountEnabled(input: { id: $id, enabled: $enabled }) {
      connectedAccount { id isDisabled note user { name } }
      userErrors { code }
    }
  }`;
  for (const enabled of [false, true]) {
    const { answer } = await graph.ask(query, { id, enabled });
    assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
    const { connectedAccount, userErrors } = answer.data.setAccountEnabled;
    assert.deepEqual(userErrors, []);
    assert.deepEqual([connectedAccount.id, connectedAccount.isDisabled], [id, !enabled]);
    assert.deepEqual([connectedAccount.note.slice(0, 8), connectedAccount.user.name], ['Seen ca_', 'Person 2']);
  }
}

/** A property of gateways that forward a request's id, so that Switchboard's log has it. */
export async function requestIdsAreForwarded(graph) {
  const requestId = '01J8ZQ6T3Y0G5H7K9M2N4P6R8S';
  const { asked } = await graph.ask('{ toolkit(slug: "gmail") { name } }', {}, { 'x-request-id': requestId });
  assert.deepEqual(asked.map((it) => it.requestId), [requestId]);
}

/** A property of gateways with subscriptions: a change arrives with fields of both services. */
export async function changesAreReceived({ url, switchboard }, accept) {
  const query = `subscription {
    connectedAccountChanged { kind connectedAccount { connectedAccountId note user { name } } }
  }`;
  const ended = new AbortController();
  const headers = { accept, 'content-type': 'application/json' };
  const body = JSON.stringify({ query });
  const timer = setTimeout(() => ended.abort(), 60_000);
  const answer = await fetch(url, { method: 'POST', headers, body, signal: ended.signal });
  assert.equal(answer.status, 200);
  // Adds accounts until one is received: changes before the first state is read are not sent.
  let made = 0;
  const changing = setInterval(async () => {
    made += 1;
    const account = `${switchboard.sandbox}/__accounts/ca_made_${made}?toolkit=gmail&user_id=user_1`;
    await fetch(account, { method: 'PUT', headers: { 'x-api-key': 'ak_sandbox_a' } });
    await ask(switchboard.url, 'mutation { refresh(upstream: COMPOSIO) { retryAt } }');
  }, 300);
  let received = '';
  try {
    for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
      received += part;
      if (/"name":"Person 1"/.test(received)) break;
    }
  } finally {
    clearTimeout(timer);
    clearInterval(changing);
    ended.abort();
  }
  assert.match(received, /"kind":"ADDED","connectedAccount":{"connectedAccountId":"(ca_made_\d+)","note":"Seen \1"/);
}

/** Properties of every gateway in front of a Switchboard in token mode. */
export function tokensAreAsked(start, schema) {
  describe('with Switchboard in token mode', () => {
    let graph;
    before(async () => {
      graph = await larger(start, schema, async () => {
        const switchboard = await guarded();
        process.env.SWITCHBOARD_TOKEN = switchboard.admin;
        return switchboard;
      });
    });
    after(async () => {
      delete process.env.SWITCHBOARD_TOKEN;
      await graph?.stop();
    });

    const query = '{ connectedAccounts(first: 3) { nodes { userId note } } upstreams { quota { limit } } }';
    const bearing = (token) => ({ authorization: `Bearer ${token}`, 'x-api-key': 'ak_example' });

    it('credentials are forwarded, and callers see their own data', async () => {
      const { member } = graph.switchboard;
      const { answer, asked } = await graph.ask(query, {}, bearing(member));
      assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
      for (const { caller } of asked) assert.deepEqual(caller, bearing(member));
      for (const { userId, note } of answer.data.connectedAccounts.nodes) {
        assert.equal(userId, 'user_1');
        assert.match(note, /^Seen /);
      }
      assert.ok(answer.data.connectedAccounts.nodes.length > 0);
    });

    it('concurrent callers are not confused', async () => {
      const { admin, member } = graph.switchboard;
      const ask = async (token) => {
        const { answer } = await graph.ask(query, {}, bearing(token));
        return new Set(answer.data.connectedAccounts.nodes.map(({ userId }) => userId));
      };
      const [all, theirs] = await Promise.all([ask(admin), ask(member)]);
      assert.deepEqual([...theirs], ['user_1']);
      assert.ok(all.size > 1);
    });

    it('a caller without a token is refused, although the gateway has one', async () => {
      const { answer } = await graph.ask(query);
      assert.equal(answer.data?.connectedAccounts ?? null, null);
      assert.match(JSON.stringify(answer.errors), /UNAUTHENTICATED|401/);
    });

    it('a gateway without a token gets an error', async () => {
      const { admin, url } = graph.switchboard;
      delete process.env.SWITCHBOARD_TOKEN;
      await assert.rejects(start({ switchboard: url, people: url }), /token/i);
      process.env.SWITCHBOARD_TOKEN = admin;
    });
  });
}
