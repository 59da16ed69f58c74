// Starts a graph for a test: Switchboard behind a recording proxy, the people service, and a gateway in front of both.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { credentialsOf } from '../../../examples/federation/caller.mjs';
import { parse, subgraphs } from '../../../examples/federation/compose.mjs';
import { ask, demo } from '../../../examples/federation/demo.mjs';
import { serve } from '../../../examples/federation/people.mjs';
import { binary, start as startSwitchboard, startSandbox } from '../support.mjs';

/** Forwards requests to `url` and records them. */
async function recordingProxy(url) {
  const requests = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const { method, headers } = request;
    // A gateway may subscribe by GET.
    const { search, searchParams } = new URL(request.url, url);
    const caller = credentialsOf(headers);
    const operation = body ? JSON.parse(body) : Object.fromEntries(searchParams);
    requests.push({ ...operation, caller, requestId: headers['x-request-id'] });
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
    /** The requests since the last call. */
    take: () => requests.splice(0),
    stop: () => new Promise((stopped) => server.close(stopped) && server.closeAllConnections()),
  };
}

/** Switchboard in token mode on its own sandbox, with the tokens of an ADMIN and of the MEMBER `user_1`. */
export async function startWithTokens() {
  const newToken = (...args) => execFileSync(binary, ['token', 'new', ...args], { encoding: 'utf8' });
  const tokens = [newToken('--name', 'admin'), newToken('--name', 'member', '--user-id', 'user_1')];
  const entries = tokens.map((text) => text.slice(text.indexOf('[[auth.tokens]]')));
  const [admin, member] = tokens.map((text) => /^swb_\S+$/m.exec(text)[0]);
  const sandbox = await startSandbox();
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-'));
  const config = join(folder, 'switchboard.toml');
  await writeFile(config, `
    auth.mode = "tokens"
    upstream.leadlex = { base_url = "${sandbox.url}/functions/v1/api-gateway", api_key = "wbk_sandbox_a" }
    upstream.composio = { base_url = "${sandbox.url}", api_key = "ak_sandbox_a" }
    ${entries.join('\n')}
  `);
  const args = ['--config', config, '--listen', '127.0.0.1:0', '--ops-listen', '127.0.0.1:0'];
  const switchboard = await startSwitchboard('serve', ...args).catch(async (error) => {
    await sandbox.stop();
    throw error;
  });
  return {
    url: new URL('/graphql', switchboard.url).href,
    sandbox: sandbox.url,
    admin,
    member,
    async stop() {
      await switchboard.stop();
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

/** Starts Switchboard by `begin`, the people service with `schema`, and a gateway in front of both by `start`. */
export async function startGraph(start, schema, begin = demo) {
  const switchboard = await begin();
  const proxy = await recordingProxy(switchboard.url);
  const people = await serve(schema);
  const parts = [people, proxy, switchboard];
  const stop = async () => {
    for (const part of parts) await part.stop();
  };
  const record = `${switchboard.sandbox}/__requests`;
  const gateway = await start({ switchboard: proxy.url, people: people.url }).catch(async (error) => {
    await stop();
    throw error;
  });
  parts.unshift(gateway);
  return {
    stop,
    url: gateway.url,
    people: people.url,
    switchboard,
    /** The response, the requests to Switchboard, and the numbers of requests to the people service and of upstream calls. */
    async ask(query, variables, headers) {
      proxy.take();
      await fetch(record, { method: 'DELETE' });
      const before = people.asked();
      const response = await ask(gateway.url, query, variables, headers);
      const calls = await (await fetch(record)).json();
      return { response, requests: proxy.take(), peopleRequests: people.asked() - before, upstreamCalls: calls.length };
    },
  };
}
