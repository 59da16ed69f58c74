// The tests of every gateway. A gateway's own file has its differences, and the tests of what only that gateway has.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ask } from '../../../examples/federation/demo.mjs';
import { startGraph, startWithTokens } from './graph.mjs';

/**
 * Queries over both services. `planned` is the number of requests to Switchboard, of requests to the people service, and of
 * upstream calls. The order matters, because data is cached. The first query reads a page of accounts and, batched, the lists of
 * five users. The second reads the lists of the other users, batched. The third finds everything cached. The fourth reads the
 * integrations and, batched, the accounts of five of them.
 */
const queries = {
  accounts: {
    name: 'accounts with notes and people of the other service, and the accounts of those people',
    query: `{
      connectedAccounts(first: 5) {
        nodes { connectedAccountId status note user { id name connectedAccounts(first: 2) { totalCount nodes { userId } } } }
      }
    }`,
    planned: [1, 2, 2],
    check({ connectedAccounts: { nodes } }) {
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
  team: {
    name: 'twenty people of the other service with their accounts in Switchboard and the notes on those',
    query: '{ team(order: ASC) { id name since connectedAccounts(first: 3) { nodes { userId note } } } }',
    planned: [1, 2, 1],
    check({ team }) {
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
  roots: {
    name: 'the root fields and the type of both services, as defined by the other service',
    query: `{
      viewer { id locale }
      user(id: "user_3") { name connectedAccounts(first: 1) { nodes { userId } } }
      node(id: "user_4") { id }
    }`,
    planned: [1, 1, 0],
    check: (data) =>
      assert.deepEqual(data, {
        viewer: { id: 'user_1', locale: 'en' },
        user: { name: 'Person 3', connectedAccounts: { nodes: [{ userId: 'user_3' }] } },
        node: { id: 'user_4' },
      }),
  },
  providers: {
    name: 'integrations with their accounts and the notes on those accounts',
    query: '{ providers(first: 5) { nodes { name connectedAccounts(first: 2) { nodes { note } } } } }',
    planned: [1, 1, 2],
    check({ providers: { nodes } }) {
      assert.equal(nodes.length, 5);
      assert.match(nodes.flatMap(({ connectedAccounts }) => connectedAccounts.nodes)[0].note, /^Seen /);
    },
  },
};

/**
 * Registers the tests of every gateway in the calling `describe`. Returns a function that returns their graph, for the gateway's
 * own tests, which run after these.
 *
 * `start` starts the gateway, and `schema` is the schema of the people service. The other arguments are the gateway's differences:
 * - `planned`: by the key in `queries`, the numbers of each query that the gateway plans differently
 * - `hasEntities`: whether it resolves references by `_entities`
 * - `hasRequestIds`: whether it forwards the id of a request
 * - `subscriptionType`: the media type of its subscriptions; undefined if it has none
 */
export function testGateway({ start, schema, planned = {}, hasEntities = true, hasRequestIds = true, subscriptionType }) {
  let graph;
  before(async () => {
    graph = await startGraph(start, schema);
  });
  after(() => graph?.stop());

  for (const [key, { name, query, planned: usual, check }] of Object.entries(queries)) {
    it(name, async () => {
      const { response, requests, peopleRequests, upstreamCalls } = await graph.ask(query);
      assert.equal(response.errors, undefined, JSON.stringify(response.errors));
      check(response.data);
      assert.deepEqual([requests.length, peopleRequests, upstreamCalls], planned[key] ?? usual);
    });
  }

  it('a field error keeps its code, and the other data is returned', async () => {
    const { response } = await graph.ask('{ connectedAccounts(first: 10000) { totalCount } viewer { id } }');
    assert.deepEqual(response.data, { connectedAccounts: null, viewer: { id: 'user_1' } });
    assert.equal(response.errors[0].extensions.code, 'BAD_USER_INPUT');
    assert.equal(response.errors[0].extensions.reason, 'BAD_PAGE_SIZE');
  });

  if (hasEntities) {
    it('references of the other service to providers and toolkits are resolved', () => checkReferences(graph));
  }

  it('a mutation runs, and its payload has fields of both services', () => checkMutations(graph, hasEntities));

  if (hasRequestIds) {
    it('the id of a request is forwarded', async () => {
      const requestId = '01J8ZQ6T3Y0G5H7K9M2N4P6R8S';
      const { requests } = await graph.ask('{ toolkit(slug: "gmail") { name } }', {}, { 'x-request-id': requestId });
      assert.deepEqual(requests.map((it) => it.requestId), [requestId]);
    });
  }

  if (subscriptionType) {
    it('subscribers get changes with fields of both services', () => checkSubscriptions(graph, subscriptionType));
  }

  it('an error of an upstream keeps its code, and the other data is returned', () => checkUpstreamErrors(graph));

  describe('with Switchboard in token mode', () => testTokens(start, schema));

  return () => graph;
}

async function checkReferences(graph) {
  const { response: first } = await graph.ask('{ providers(first: 2) { nodes { id name } } }');
  const known = first.data.providers.nodes;
  const query = `query ($ids: [ID!]!) {
    bookmarks(providers: $ids, toolkits: ["gmail", "slack"]) {
      providers { id name }
      toolkits { slug id connectedAccounts(first: 1) { nodes { status } } }
    }
  }`;
  const { response, requests, peopleRequests } = await graph.ask(query, { ids: known.map(({ id }) => id) });
  assert.equal(response.errors, undefined, JSON.stringify(response.errors));
  const { providers, toolkits } = response.data.bookmarks;
  assert.deepEqual(providers, known);
  assert.deepEqual(toolkits.map(({ slug }) => slug), ['gmail', 'slack']);
  for (const { connectedAccounts } of toolkits) assert.equal(connectedAccounts.nodes.length, 1);
  assert.equal(peopleRequests, 1);
  for (const { query } of requests) assert.match(query, /_entities/);
}

async function checkMutations(graph, hasEntities) {
  const { response: first } = await graph.ask(`{
    user(id: "user_2") { connectedAccounts(first: 1, filter: { statuses: [ACTIVE] }) { nodes { id } } }
  }`);
  const [{ id }] = first.data.user.connectedAccounts.nodes;
  const query = `mutation ($id: ID!, $enabled: Boolean!) {
    setAccountEnabled(input: { id: $id, enabled: $enabled }) {
      connectedAccount { id isDisabled note user { name } }
      userErrors { code }
    }
  }`;
  // The people service identifies accounts by `connectedAccountId` as a subgraph, and by `id` in stitching.
  const note = hasEntities ? 'Seen ca_' : `Seen ${id}`;
  for (const enabled of [false, true]) {
    const { response } = await graph.ask(query, { id, enabled });
    assert.equal(response.errors, undefined, JSON.stringify(response.errors));
    const { connectedAccount, userErrors } = response.data.setAccountEnabled;
    assert.deepEqual(userErrors, []);
    assert.deepEqual([connectedAccount.id, connectedAccount.isDisabled], [id, !enabled]);
    assert.deepEqual([connectedAccount.note.slice(0, note.length), connectedAccount.user.name], [note, 'Person 2']);
  }
}

async function checkSubscriptions({ url, switchboard }, accept) {
  const query = `subscription {
    connectedAccountChanged { kind connectedAccount { connectedAccountId note user { name } } }
  }`;
  const ended = new AbortController();
  const headers = { accept, 'content-type': 'application/json' };
  const body = JSON.stringify({ query });
  const timer = setTimeout(() => ended.abort(), 60_000);
  const response = await fetch(url, { method: 'POST', headers, body, signal: ended.signal });
  assert.equal(response.status, 200);
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
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
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

async function checkUpstreamErrors(graph) {
  const fault = `${graph.switchboard.sandbox}/__faults/composio`;
  await fetch(fault, { method: 'PUT', headers: { 'x-emulate': 'status=503' } });
  try {
    // With a filter that no other query has, so that nothing is cached.
    const { response } = await graph.ask(`{
      connectedAccounts(first: 3, filter: { toolkits: ["slack"], statuses: [INACTIVE] }) { nodes { note } }
      providers(first: 1) { nodes { name } }
      viewer { id }
    }`);
    assert.equal(response.data.connectedAccounts, null);
    assert.equal(response.data.providers.nodes.length, 1);
    assert.deepEqual(response.data.viewer, { id: 'user_1' });
    assert.equal(response.errors.length, 1);
    const { code, upstream, retryable } = response.errors[0].extensions;
    assert.deepEqual([code, upstream, retryable], ['UPSTREAM_UNAVAILABLE', 'COMPOSIO', true]);
    assert.match(response.errors[0].message, /Composio/);
  } finally {
    await fetch(fault, { method: 'DELETE' });
  }
}

function testTokens(start, schema) {
  let graph;
  before(async () => {
    graph = await startGraph(start, schema, async () => {
      const switchboard = await startWithTokens();
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
    const { response, requests } = await graph.ask(query, {}, bearing(member));
    assert.equal(response.errors, undefined, JSON.stringify(response.errors));
    for (const { caller } of requests) assert.deepEqual(caller, bearing(member));
    for (const { userId, note } of response.data.connectedAccounts.nodes) {
      assert.equal(userId, 'user_1');
      assert.match(note, /^Seen /);
    }
    assert.ok(response.data.connectedAccounts.nodes.length > 0);
  });

  it('concurrent callers are not confused', async () => {
    const { admin, member } = graph.switchboard;
    const usersOf = async (token) => {
      const { response } = await graph.ask(query, {}, bearing(token));
      return new Set(response.data.connectedAccounts.nodes.map(({ userId }) => userId));
    };
    const [all, theirs] = await Promise.all([usersOf(admin), usersOf(member)]);
    assert.deepEqual([...theirs], ['user_1']);
    assert.ok(all.size > 1);
  });

  it('a caller without a token is refused, although the gateway has one', async () => {
    const { response } = await graph.ask(query);
    assert.equal(response.data?.connectedAccounts ?? null, null);
    assert.match(JSON.stringify(response.errors), /UNAUTHENTICATED|401/);
  });

  it('a gateway without a token gets an error', async () => {
    const { admin, url } = graph.switchboard;
    delete process.env.SWITCHBOARD_TOKEN;
    await assert.rejects(start({ switchboard: url, people: url }), /token/i);
    process.env.SWITCHBOARD_TOKEN = admin;
  });
}
