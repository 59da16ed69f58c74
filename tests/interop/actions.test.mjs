// Released Composio clients and Switchboard's mutations write to the same sandbox in turn. Both must see each other's changes.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';

import Composio from 'composio-client-v3.1';

import { pythonClient } from './python-client.mjs';
import { binary, start } from './support.mjs';

const ACCOUNT = 'connectedAccount { connectedAccountId status alias userId }';

/** npm @composio/client. `retrieve` resolves with null for an account that does not exist. */
function ofNode(baseURL) {
  const { connectedAccounts, link } = new Composio({ apiKey: 'ak_sandbox_a', baseURL });
  return {
    retrieve: (id) => connectedAccounts.retrieve(id).catch((error) => (assert.equal(error.status, 404), null)),
    setEnabled: (id, enabled) => connectedAccounts.updateStatus(id, { enabled }),
    rename: (id, alias) => connectedAccounts.patch(id, { alias }),
    remove: (id) => connectedAccounts.delete(id),
    link: (params) => link.create(params),
    stop() {},
  };
}

/** PyPI composio-client. */
function ofPython(url) {
  const { see, stop } = pythonClient(url);
  const write = async (...call) => {
    const { written, error } = await see({ write: call });
    assert.ok(written, JSON.stringify(error));
    return written;
  };
  return {
    async retrieve(id) {
      const { one, error } = await see({ retrieve: id });
      if (!one) assert.equal(error.status, 404);
      return one ?? null;
    },
    setEnabled: (id, enabled) => write('update_status', id, { enabled }),
    rename: (id, alias) => write('patch', id, { alias }),
    remove: (id) => write('delete', id, {}),
    link: (params) => write('link', null, params),
    stop,
  };
}

const CLIENTS = { '@composio/client for Node': ofNode, 'composio-client for Python': ofPython };

for (const [name, clientOf] of Object.entries(CLIENTS)) inTurn(name, clientOf);

function inTurn(name, clientOf) {
  describe(`${name} and mutations in turn`, () => {
    let demo, client;
    before(async () => {
      demo = await start('demo', '--listen', '127.0.0.1:0');
      client = clientOf(/^Sandbox: (.*)$/m.exec(demo.lines.join('\n'))[1]);
    });
    after(() => {
      client?.stop();
      return demo?.stop();
    });

    const send = async (query, variables) => {
      const body = JSON.stringify({ query, variables });
      const headers = { 'content-type': 'application/json' };
      const answer = await (await fetch(new URL('graphql', demo.url), { method: 'POST', headers, body })).json();
      assert.equal(answer.errors, undefined, JSON.stringify(answer));
      return answer.data;
    };
    /** A mutation that must succeed. */
    const mutate = async (name, input, selected = ACCOUNT) => {
      const type = `${name[0].toUpperCase()}${name.slice(1)}Input`;
      const query = `mutation ($input: ${type}!) { ${name}(input: $input) { ${selected} userErrors { code message } } }`;
      const payload = (await send(query, { input }))[name];
      assert.deepEqual(payload.userErrors, []);
      return payload;
    };
    /** An account as a client of the graph reads it after a refresh. */
    const read = async (id) => {
      await send('mutation { refresh(upstream: COMPOSIO) { retryAt } }');
      const query = 'query ($ids: [ID!]!) { connectedAccountsByIds(ids: $ids) { connectedAccountId status alias userId } }';
      return (await send(query, { ids: [id] })).connectedAccountsByIds[0];
    };
    /** Both must read the same. */
    const agree = async (id, expected) => {
      const account = await read(id);
      const { status, alias, user_id: userId } = await client.retrieve(id);
      assert.deepEqual({ status: account.status, alias: account.alias, userId: account.userId }, { status, alias, userId });
      for (const [field, value] of Object.entries(expected)) assert.equal(account[field], value, field);
    };
    const allow = async (url) => {
      const body = new URLSearchParams({ decision: 'allow' });
      const answer = await fetch(url, { method: 'POST', body, redirect: 'manual' });
      assert.ok(answer.status < 400, `${answer.status}`);
    };

    it('connects, pauses, renames and removes', async () => {
      const callbackUrl = new URL('example', demo.url).href;
      const connected = await mutate(
        'createConnectLink',
        { authConfigId: 'ac_gmail', userId: 'user_in_turn', callbackUrl },
        `redirectUrl ${ACCOUNT}`,
      );
      const id = connected.connectedAccount.connectedAccountId;
      await agree(id, { status: 'INITIATED', userId: 'user_in_turn' });
      await allow(connected.redirectUrl);
      await agree(id, { status: 'ACTIVE' });

      await client.setEnabled(id, false);
      await agree(id, { status: 'INACTIVE' });
      const resumed = await mutate('setAccountEnabled', { id, enabled: true });
      assert.equal(resumed.connectedAccount.status, 'ACTIVE');
      await agree(id, { status: 'ACTIVE' });

      await client.rename(id, 'From the client');
      await agree(id, { alias: 'From the client' });
      await mutate('renameAccount', { id, alias: 'From the graph' });
      await agree(id, { alias: 'From the graph' });

      await client.remove(id);
      assert.equal(await read(id), null);
    });

    it('starts with a link of the client and ends with a removal by a mutation', async () => {
      const link = await client.link({ auth_config_id: 'ac_slack', user_id: 'user_in_turn', alias: 'Team' });
      const id = link.connected_account_id;
      await allow(link.redirect_url);
      await agree(id, { status: 'ACTIVE', alias: 'Team' });
      const revoked = await mutate('revokeAccount', { id }, `revokedTokens ${ACCOUNT}`);
      assert.deepEqual(revoked.revokedTokens, ['access_token', 'refresh_token']);
      await agree(id, { status: 'REVOKED' });
      const reconnected = await mutate('reconnectAccount', { id }, `redirectUrl ${ACCOUNT} replacedAccount { status }`);
      assert.equal(reconnected.replacedAccount.status, 'REVOKED');
      await allow(reconnected.redirectUrl);
      await agree(reconnected.connectedAccount.connectedAccountId, { status: 'ACTIVE', alias: null });
      await mutate('removeAccount', { id }, 'removedAccountId');
      assert.equal(await client.retrieve(id), null);
      assert.equal(await read(id), null);
    });
  });
}

it('writes the audit log at any log level', async () => {
  const env = { ...process.env, SWITCHBOARD__LOG__LEVEL: 'off', SWITCHBOARD__LOG__FORMAT: 'json' };
  const child = spawn(binary, ['demo', '--listen', '127.0.0.1:0'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const [, url] = /^GraphiQL: (.*)$/.exec((await lines.next()).value);
    const query = 'mutation { revokeAccount(input: { id: "ca_none" }) { userErrors { code } } }';
    const headers = { 'content-type': 'application/json', 'x-request-id': 'audited-1' };
    await (await fetch(new URL('graphql', url), { method: 'POST', headers, body: JSON.stringify({ query }) })).text();
    const { value } = await createInterface(child.stderr)[Symbol.asyncIterator]().next();
    const { target, span, fields } = JSON.parse(value);
    assert.deepEqual(
      { target, id: span.id, action: fields.action, account: fields.account, code: fields.code },
      { target: 'switchboard::audit', id: 'audited-1', action: 'revoke', account: 'ca_none', code: 'NOT_FOUND' },
    );
  } finally {
    child.kill('SIGTERM');
  }
});
