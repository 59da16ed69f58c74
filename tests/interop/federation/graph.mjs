// A demo behind a counting proxy, the other service, a gateway in front of both, and the queries to it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { credentialsOf } from '../../../examples/federation/caller.mjs';
import { ask, demo } from '../../../examples/federation/demo.mjs';
import { serve } from '../../../examples/federation/people.mjs';
import { binary, start as switchboard, startSandbox } from '../support.mjs';

/** Forwards requests to `url` and records them. */
async function door(url) {
  const asked = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const caller = credentialsOf(request.headers);
    asked.push({ ...JSON.parse(body), caller });
    const headers = { ...caller, 'content-type': 'application/json' };
    const answer = await fetch(url, { method: 'POST', headers, body });
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') });
    response.end(await answer.text());
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
