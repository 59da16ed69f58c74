// A demo, a door before it that counts, the other service, and a gateway before both; and what it is asked.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { ask, demo } from '../../../examples/federation/demo.mjs';
import { serve } from '../../../examples/federation/people.mjs';

/** Passes requests on to `url`, and remembers what was asked. */
async function door(url) {
  const asked = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    asked.push({ ...JSON.parse(body), authorization: request.headers.authorization });
    const headers = { 'content-type': 'application/json' };
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

/** Both services and a gateway before them, until `stop()`. */
export async function larger(start, schema) {
  const switchboard = await demo();
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
    /** The whole answer, what Switchboard was asked for it, how often the people were, and the upstream calls. */
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
 * What every gateway is asked, in this order, as what was read is kept. Upstream, the first takes a page of accounts and
 * the lists of five users, joined; the second the lists of the other users, joined; the third finds all there; the fourth
 * takes the integrations and the accounts of five of them, joined.
 */
export const questions = [
  {
    what: 'accounts with their notes and people of the other service, and those with accounts again',
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
    what: 'twenty people of the other service with their accounts here, and the notes on those',
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
    what: 'the roots and the type that both would have, as the other service has them',
    query: '{ viewer { id locale } user(id: "user_3") { name connectedAccounts(first: 1) { nodes { userId } } } node(id: "user_4") { id } }',
    right: (data) =>
      assert.deepEqual(data, {
        viewer: { id: 'user_1', locale: 'en' },
        user: { name: 'Person 3', connectedAccounts: { nodes: [{ userId: 'user_3' }] } },
        node: { id: 'user_4' },
      }),
  },
  {
    what: 'integrations with their accounts and the notes on those',
    query: '{ providers(first: 5) { nodes { name connectedAccounts(first: 2) { nodes { note } } } } }',
    right({ providers: { nodes } }) {
      assert.equal(nodes.length, 5);
      assert.match(nodes.flatMap(({ connectedAccounts }) => connectedAccounts.nodes)[0].note, /^Seen /);
    },
  },
];
