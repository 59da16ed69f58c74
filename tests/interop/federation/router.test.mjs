// Apollo Router, started by examples/federation with its router.yaml. It runs without a licence and without a network.
//
// npm has no router, so these tests are skipped unless there is one: the program `router` of the PATH, or APOLLO_ROUTER_BIN.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import WebSocket from 'ws';
import { apollo } from '../../../examples/federation/compose.mjs';
import { ask } from '../../../examples/federation/demo.mjs';
import { subgraph } from '../../../examples/federation/people.mjs';
import { start, version } from '../../../examples/federation/router.mjs';
import { testGateway } from './gateway.mjs';
import { startGraph, startWithTokens, supergraphWith } from './graph.mjs';

const skip = version() ? false : 'There is no Apollo Router: install `router`, or set APOLLO_ROUTER_BIN.';

/** Calls `use` with a router.yaml that has additional lines. */
async function withConfig(lines, use) {
  const folder = await mkdtemp(join(tmpdir(), 'router-'));
  try {
    const config = join(folder, 'router.yaml');
    const ours = readFileSync(new URL('../../../examples/federation/router.yaml', import.meta.url), 'utf8');
    await writeFile(config, ours + lines);
    await use(config);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe(`Apollo Router ${version() ?? ''}`, { skip }, () => {
  testGateway({ start, schema: subgraph });
});

describe('Apollo Router without a licence', { skip }, () => {
  let graph, urls;
  before(async () => {
    graph = await startGraph(start, subgraph);
    urls = { switchboard: graph.switchboard.url, people: graph.people };
  });
  after(() => graph?.stop());

  it('refuses subscriptions', async () => {
    // Of clients that do not accept a stream, it says so first.
    const accept = 'multipart/mixed;subscriptionSpec=1.0, application/json';
    const { response } = await graph.ask('subscription { connectedAccountChanged { kind } }', {}, { accept });
    assert.equal(response.errors[0].extensions.code, 'SUBSCRIPTION_DISABLED');
  });

  it('does not start with subscriptions enabled', () =>
    withConfig('subscription: { enabled: true, mode: { passthrough: { all: { protocol: graphql_ws } } } }\n', (config) =>
      assert.rejects(start({ ...urls, config }), /license/i)));

  it('does not start with a response cache', () =>
    withConfig('response_cache: { enabled: true, subgraph: { all: { enabled: true } } }\n', (config) =>
      assert.rejects(start({ ...urls, config }), /license/i)));

  it('does not start with `federation.authorization = true`', async () => {
    const supergraphSdl = await supergraphWith(apollo, urls, { SWITCHBOARD__FEDERATION__AUTHORIZATION: 'true' });
    await assert.rejects(start({ ...urls, supergraphSdl }), /license/i);
  });

  it('runs a supergraph with cache tags', async () => {
    const supergraphSdl = await supergraphWith(apollo, urls, { SWITCHBOARD__FEDERATION__VERSION: '2.12' });
    assert.match(supergraphSdl, /cacheTag/);
    const router = await start({ ...urls, supergraphSdl });
    try {
      const body = JSON.stringify({ query: '{ providers(first: 1) { nodes { name } } }' });
      const response = await fetch(router.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      assert.equal((await response.json()).data.providers.nodes.length, 1);
    } finally {
      await router.stop();
    }
  });
});

// Subscriptions need a licence, so no test runs the router with them. This one sends what its source does (2.17.0,
// `protocols/websocket.rs`): the caller's headers in the upgrade, and a `connection_init` that repeats the token elsewhere.
describe("Apollo Router's WebSocket to a subgraph", () => {
  let switchboard;
  before(async () => (switchboard = await startWithTokens()));
  after(() => switchboard?.stop());

  /** The messages of a subscription until it has a change or the socket is closed. */
  async function subscribed(headers, payload) {
    const url = switchboard.url.replace('http:', 'ws:');
    const socket = new WebSocket(url, 'graphql-transport-ws', { headers: { ...headers, 'content-type': 'application/json' } });
    const received = [];
    const send = (message) => socket.send(JSON.stringify(message));
    const query = 'subscription { connectedAccountChanged { kind connectedAccount { __typename connectedAccountId } } }';
    let made = 0;
    const changing = setInterval(async () => {
      made += 1;
      const account = `${switchboard.sandbox}/__accounts/ca_made_${made}?toolkit=gmail&user_id=user_1`;
      await fetch(account, { method: 'PUT', headers: { 'x-api-key': 'ak_sandbox_a' } });
      await ask(switchboard.url, 'mutation { refresh(upstream: COMPOSIO) { retryAt } }', {}, bearing(switchboard.admin));
    }, 300);
    await new Promise((resolve, reject) => {
      socket.on('open', () => send({ type: 'connection_init', payload }));
      socket.on('message', (text) => {
        const message = JSON.parse(text);
        received.push(message);
        if (message.type === 'connection_ack') {
          send({ type: 'ping' });
          send({ type: 'subscribe', id: 'f00', payload: { query } });
        }
        if (message.type === 'next') socket.close(1000);
      });
      socket.on('close', (code) => resolve(received.push({ type: 'close', code })));
      socket.on('error', reject);
    });
    clearInterval(changing);
    return received;
  }

  const bearing = (token) => ({ authorization: `Bearer ${token}` });

  it('is authenticated by its headers, and receives changes', async () => {
    const { authorization } = bearing(switchboard.member);
    const received = await subscribed({ authorization }, { connectionParams: { token: authorization } });
    assert.deepEqual(received.slice(0, 3).map(({ type }) => type), ['connection_ack', 'pong', 'next']);
    assert.deepEqual(received.at(-1), { type: 'close', code: 1000 });
    const { id, payload } = received[2];
    assert.equal(id, 'f00');
    assert.equal(payload.data.connectedAccountChanged.connectedAccount.__typename, 'ConnectedAccount');
  });

  it('is refused without credentials', async () => {
    assert.deepEqual(await subscribed({}, null), [{ type: 'close', code: 4403 }]);
  });
});
