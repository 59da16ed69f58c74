// Subscriptions over each of the three transports, with the client library of that transport.
//
// Tests add and delete accounts in the demo's sandbox. A `refresh` triggers the check, so that no test waits for the next one.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { ApolloClient, CombinedProtocolErrors, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { Client as UrqlClient, fetchExchange } from '@urql/core';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import WebSocket from 'ws';

import { start } from './support.mjs';

const CHANGED = `subscription {
  connectedAccountChanged { kind cause id connectedAccount { connectedAccountId userId status } }
}`;

/** A demo with functions to change its data. */
async function startWorld(listen = '127.0.0.1:0') {
  const demo = await start('demo', '--listen', listen);
  const url = new URL('graphql', demo.url).href;
  const sandbox = /^Sandbox: (.*)$/m.exec(demo.lines.join('\n'))[1];
  const headers = { 'x-api-key': 'ak_sandbox_a' };
  let made = 0;
  const ask = async (query) => {
    const body = JSON.stringify({ query });
    const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    return (await answer.json()).data;
  };
  const changeAccount = async (method, id) => {
    const account = new URL(`/__accounts/${id}?toolkit=gmail&user_id=user_1`, sandbox);
    const { status } = await fetch(account, { method, headers });
    assert.equal(status, 204);
    await ask('mutation { refresh(upstream: COMPOSIO) { retryAt } }');
  };
  return {
    ...demo,
    url,
    host: new URL(url).host,
    changeAccount,
    /** Adds accounts until `heard` resolves: changes before the first state is read are not sent. */
    async connectUntil(heard) {
      let isHeard = false;
      const waiting = heard.finally(() => (isHeard = true));
      while (!isHeard) {
        made += 1;
        await changeAccount('PUT', `ca_made_${made}`);
        await Promise.race([waiting, delay(200)]);
      }
      return waiting;
    },
  };
}

/** A sink that records events, with promises of the next ones. */
function listener() {
  const heard = [];
  const waiting = [];
  const tell = (event) => (waiting.length > 0 ? waiting.shift()(event) : heard.push(event));
  return {
    sink: {
      next: (value) => tell({ next: value }),
      error: (error) => tell({ error }),
      complete: () => tell({ complete: true }),
    },
    /** The next event. */
    event: () => (heard.length > 0 ? Promise.resolve(heard.shift()) : new Promise((resolve) => waiting.push(resolve))),
    /** The next event that satisfies `is`. */
    async until(is) {
      for (;;) {
        const event = await this.event();
        if (is(event)) return event;
        if (event.error) throw event.error;
      }
    },
  };
}

const changeOf = (event) => event.next?.data?.connectedAccountChanged;

/** Follows an account that is added and deleted. */
async function comesAndGoes(world, listener) {
  const first = changeOf(await world.connectUntil(listener.event()));
  assert.equal(first.kind, 'ADDED');
  assert.equal(first.cause, 'REFRESH');
  assert.match(first.connectedAccount.connectedAccountId, /^ca_made_/);
  assert.equal(first.connectedAccount.status, 'ACTIVE');
  await world.changeAccount('DELETE', first.connectedAccount.connectedAccountId);
  const gone = changeOf(await listener.until((event) => changeOf(event)?.kind === 'REMOVED'));
  assert.equal(gone.id, first.id);
  assert.equal(gone.connectedAccount, null);
}

describe('graphql-ws', () => {
  let world;
  before(async () => (world = await startWorld()));
  after(() => world?.stop());

  const connect = (options = {}) =>
    createWsClient({ url: `ws://${world.host}/graphql`, webSocketImpl: WebSocket, retryAttempts: 0, ...options });

  it('receives an added and a deleted account', async () => {
    const client = connect();
    const accounts = listener();
    const unsubscribe = client.subscribe({ query: CHANGED }, accounts.sink);
    await comesAndGoes(world, accounts);
    unsubscribe();
    await client.dispose();
  });

  it('receives results and errors concurrently over one connection', async () => {
    const client = connect();
    const one = async (query) => {
      const results = [];
      for await (const result of client.iterate({ query })) results.push(result);
      return results;
    };
    const refused = (error) => error[0].extensions.code === 'GRAPHQL_VALIDATION_FAILED';
    const [answers] = await Promise.all([one('{ viewer { role } }'), assert.rejects(one('{ nothing }'), refused)]);
    assert.deepEqual(answers, [{ data: { viewer: { role: 'ADMIN' } } }]);
    await client.dispose();
  });

  it('receives a pong for its ping', async () => {
    const answered = listener();
    const client = connect({ lazy: false, keepAlive: 10, on: { pong: (received) => answered.sink.next(received) } });
    assert.equal((await answered.event()).next, true);
    await client.dispose();
  });

  it('is refused from a cross-site page', async () => {
    const socket = new WebSocket(`ws://${world.host}/graphql`, 'graphql-transport-ws', { origin: 'https://evil.example' });
    const answer = await new Promise((resolve) => socket.once('unexpected-response', (_, answer) => resolve(answer)));
    assert.equal(answer.statusCode, 403);
    socket.on('error', () => {});
    socket.terminate();
  });

  it('reconnects after a server restart and receives changes', async () => {
    const connection = listener();
    const client = connect({
      retryAttempts: 1_000,
      // Otherwise it does not retry while no server is listening.
      shouldRetry: () => true,
      retryWait: () => delay(50),
      on: { closed: ({ code }) => connection.sink.next(code) },
    });
    const accounts = listener();
    client.subscribe({ query: CHANGED }, accounts.sink);
    await world.connectUntil(accounts.event());
    assert.equal(await world.stop(), 0, 'the server exits with success');
    assert.equal((await connection.event()).next, 1001);
    world = await startWorld(world.host);
    const change = changeOf(await world.connectUntil(accounts.until((event) => changeOf(event)?.kind === 'ADDED')));
    assert.match(change.connectedAccount.connectedAccountId, /^ca_made_/);
    await client.dispose();
  });
});

describe('graphql-sse', () => {
  let world;
  before(async () => (world = await startWorld()));
  after(() => world?.stop());

  const connect = (options = {}) => createSseClient({ url: world.url, retryAttempts: 0, ...options });

  it('receives an added and a deleted account', async () => {
    const accounts = listener();
    const client = connect();
    const unsubscribe = client.subscribe({ query: CHANGED }, accounts.sink);
    await comesAndGoes(world, accounts);
    unsubscribe();
    client.dispose();
  });

  it('receives results and errors', async () => {
    const client = connect();
    const answers = listener();
    client.subscribe({ query: '{ viewer { role } }' }, answers.sink);
    assert.deepEqual(await answers.event(), { next: { data: { viewer: { role: 'ADMIN' } } } });
    assert.deepEqual(await answers.event(), { complete: true });
    client.subscribe({ query: 'subscription { nothing }' }, answers.sink);
    assert.equal((await answers.event()).next.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
    assert.deepEqual(await answers.event(), { complete: true });
    client.dispose();
  });

  it('is refused in single connection mode', async () => {
    let said;
    const fetchFn = async (...request) => {
      const answer = await fetch(...request);
      said = await answer.clone().json();
      return answer;
    };
    const client = connect({ singleConnection: true, fetchFn });
    const accounts = listener();
    client.subscribe({ query: CHANGED }, accounts.sink);
    assert.equal((await accounts.event()).error.response.status, 405);
    assert.match(said.errors[0].message, /singleConnection: true`: omit that option/);
    client.dispose();
  });

  it('receives the end of the server', async () => {
    const accounts = listener();
    const client = connect();
    client.subscribe({ query: CHANGED }, accounts.sink);
    await world.connectUntil(accounts.event());
    assert.equal(await world.stop(), 0);
    const { next } = await accounts.until((event) => event.next?.errors);
    assert.equal(next.errors[0].extensions.code, 'OVERLOADED');
    assert.deepEqual(await accounts.event(), { complete: true });
    client.dispose();
  });
});

describe('Apollo Client over multipart', () => {
  let world;
  before(async () => (world = await startWorld()));
  after(() => world?.stop());

  const connect = () => {
    const kinds = [];
    const recording = async (...request) => {
      const answer = await fetch(...request);
      kinds.push(answer.headers.get('content-type').split(';')[0]);
      return answer;
    };
    const client = new ApolloClient({ link: new HttpLink({ uri: world.url, fetch: recording }), cache: new InMemoryCache() });
    return { client, kinds };
  };

  it('receives an added and a deleted account', async () => {
    const { client, kinds } = connect();
    const accounts = listener();
    const subscription = client.subscribe({ query: gql(CHANGED) }).subscribe(accounts.sink);
    await comesAndGoes(world, accounts);
    subscription.unsubscribe();
    assert.deepEqual(kinds, ['multipart/mixed']);
    client.stop();
  });

  it('receives results and errors of queries as JSON', async () => {
    const { client, kinds } = connect();
    const { data } = await client.query({ query: gql`{ viewer { role } }` });
    assert.equal(data.viewer.role, 'ADMIN');
    const refused = listener();
    client.subscribe({ query: gql`subscription { nothing }` }).subscribe(refused.sink);
    const { error } = (await refused.event()).next;
    assert.equal(error.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
    assert.deepEqual(kinds, ['application/graphql-response+json', 'application/graphql-response+json']);
    client.stop();
  });

  it('receives the end of the server', async () => {
    const { client } = connect();
    const accounts = listener();
    client.subscribe({ query: gql(CHANGED) }).subscribe(accounts.sink);
    await world.connectUntil(accounts.event());
    assert.equal(await world.stop(), 0);
    const { next } = await accounts.until((event) => event.next?.error);
    assert.ok(CombinedProtocolErrors.is(next.error));
    assert.equal(next.error.errors[0].extensions.code, 'OVERLOADED');
    client.stop();
  });
});

describe('urql over its own fetch', () => {
  let world;
  before(async () => (world = await startWorld()));
  after(() => world?.stop());

  it('accepts every media type and receives events for a subscription and JSON for a query', async () => {
    const kinds = [];
    const recording = async (...request) => {
      const answer = await fetch(...request);
      kinds.push(answer.headers.get('content-type').split(';')[0]);
      return answer;
    };
    const client = new UrqlClient({
      url: world.url,
      fetch: recording,
      preferGetMethod: false,
      fetchSubscriptions: true,
      exchanges: [fetchExchange],
    });
    const accounts = listener();
    const { unsubscribe } = client.subscription(CHANGED, {}).subscribe(accounts.sink.next);
    await comesAndGoes(world, accounts);
    unsubscribe();
    const { data } = await client.query('{ viewer { role } }', {}).toPromise();
    assert.equal(data.viewer.role, 'ADMIN');
    assert.deepEqual(kinds, ['text/event-stream', 'application/graphql-response+json']);
  });
});
