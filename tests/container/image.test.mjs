// The image of the project's Dockerfile, built and run as docs/deployment.md says: read-only, without capabilities,
// beside a sandbox of both upstreams in a second container. `make image-test` runs it; CONTRIBUTING.md says what it needs.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { docker, freePort, inspect, logs, newToken, post, root, until } from './engine.mjs';

/** An image to test instead of building one. */
const BUILT = process.env.IMAGE;
const IMAGE = BUILT ?? 'switchboard:image-test';
const NETWORK = 'switchboard-image-test';
const SANDBOX = 'switchboard-image-test-sandbox';
const SERVE = 'switchboard-image-test-serve';
const DEMO = 'switchboard-image-test-demo';
const HARDENED = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
const QUERY = '{ providers(first: 3) { nodes { name } } connectedAccounts(first: 3) { nodes { userId } } }';

const entry = ({ sha256 }, index) => `
[[auth.tokens]]
name = "client-${index}"
sha256 = "${sha256}"
role = "admin"
`;

/** The configuration of docs/deployment.md, for the sandbox and these tokens. */
const configuration = (tokens) => `
[auth]
mode = "tokens"
${tokens.map(entry).join('')}
[upstream.leadlex]
base_url = "http://sandbox:8090/functions/v1/api-gateway"
api_key_file = "/etc/switchboard/secrets/leadlex"

[upstream.composio]
base_url = "http://sandbox:8090"
api_key_file = "/etc/switchboard/secrets/composio"
`;

/** Builds the image and shows the output. IMAGE_BUILD_ARGS adds arguments, such as `--build-arg PROFILE=release`. */
async function build() {
  const more = (process.env.IMAGE_BUILD_ARGS ?? '').split(' ').filter(Boolean);
  const child = spawn('docker', ['build', '--tag', IMAGE, ...more, root()], { stdio: ['ignore', 2, 2] });
  const [code] = await once(child, 'exit');
  assert.equal(code, 0, 'docker build failed');
}

describe('the image', () => {
  let directory, graph, ops, sandbox;
  const tokens = [];

  /** Replaces a file of the mounted directory, as an operator does. */
  const replace = async (name, text) => {
    const path = join(directory, name);
    await writeFile(`${path}.new`, text, { mode: 0o644 });
    await rename(`${path}.new`, path);
  };

  /** Starts `serve` with the memory limit, and waits until it is ready. */
  const serve = async () => {
    const [client, probes] = [await freePort(), await freePort()];
    [graph, ops] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${probes}`];
    await docker(
      'run', '-d', '--name', SERVE, '--network', NETWORK, ...HARDENED, '--memory', '64m', '--memory-swap', '64m',
      '--stop-timeout', '20', '-p', `127.0.0.1:${client}:8080`, '-p', `127.0.0.1:${probes}:9090`,
      '-v', `${directory}:/etc/switchboard:ro`, IMAGE, 'serve', '--config', '/etc/switchboard/switchboard.toml',
    );
    await until('/ready returns 200', async () => (await fetch(`${ops}/ready`)).status === 200).catch(async (error) => {
      throw new Error(await logs(SERVE), { cause: error });
    });
  };

  const cleanUp = async () => {
    await docker('rm', '--force', '--volumes', SERVE, SANDBOX, DEMO).catch(() => {});
    await docker('network', 'rm', NETWORK).catch(() => {});
  };

  before(async () => {
    if (!BUILT) await build();
    await cleanUp();
    await docker('network', 'create', NETWORK);
    const port = await freePort();
    sandbox = `http://127.0.0.1:${port}`;
    await docker(
      'run', '-d', '--name', SANDBOX, '--network', NETWORK, '--network-alias', 'sandbox', ...HARDENED,
      '-p', `127.0.0.1:${port}:8090`, IMAGE, 'sandbox', '--listen', '0.0.0.0:8090',
    );
    await until('the sandbox responds', async () => (await fetch(`${sandbox}/__requests`)).ok);
    directory = await mkdtemp(join(tmpdir(), 'switchboard-'));
    await chmod(directory, 0o755);
    await mkdir(join(directory, 'secrets'));
    await replace('secrets/leadlex', 'wbk_sandbox_a');
    await replace('secrets/composio', 'ak_sandbox_a');
    tokens.push(await newToken(IMAGE), await newToken(IMAGE));
    await replace('switchboard.toml', configuration(tokens.slice(0, 1)));
    await serve();
  });

  after(async () => {
    await cleanUp();
    if (directory) await rm(directory, { recursive: true });
  });

  test('is smaller than 60 MB', async (t) => {
    const bytes = Number(await docker('image', 'inspect', '--format', '{{.Size}}', IMAGE));
    t.diagnostic(`${(bytes / 1e6).toFixed(1)} MB`);
    assert.ok(bytes < 60e6, `${bytes} bytes`);
  });

  test('has no shell and no user with privileges', async () => {
    for (const shell of ['/bin/sh', '/bin/bash', '/busybox/sh']) {
      await assert.rejects(docker('run', '--rm', '--entrypoint', shell, IMAGE, '-c', 'true'), /no such file|not found/);
    }
    assert.equal(await docker('image', 'inspect', '--format', '{{.Config.User}}', IMAGE), '65532:65532');
  });

  test('accepts its configuration', async () => {
    const mounted = ['-v', `${directory}:/etc/switchboard:ro`, '--network', NETWORK];
    const said = await docker(
      'run', '--rm', ...HARDENED, ...mounted, IMAGE, 'check', '--config', '/etc/switchboard/switchboard.toml',
    );
    assert.match(said, /composio/i);
  });

  test('answers a query over both upstreams', async () => {
    const { status, body } = await post(graph, tokens[0].token, QUERY);
    assert.equal(status, 200);
    assert.equal(body.errors, undefined);
    assert.equal(body.data.providers.nodes.length, 3);
    assert.equal(body.data.connectedAccounts.nodes.length, 3);
    assert.equal((await post(graph, 'swb_wrong', QUERY)).status, 401);
  });

  test('serves the demo, to clients with the token that it prints', async () => {
    const port = await freePort();
    const address = ['-p', `127.0.0.1:${port}:8080`];
    await docker('run', '-d', '--name', DEMO, ...HARDENED, ...address, IMAGE, 'demo', '--listen', '0.0.0.0:8080');
    const token = await until('the demo prints a token', async () => /swb_[\w-]+/.exec(await logs(DEMO))?.[0]);
    const { status, body } = await post(`http://127.0.0.1:${port}`, token, QUERY);
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal((await post(`http://127.0.0.1:${port}`, 'swb_wrong', QUERY)).status, 401);
  });

  test('becomes healthy by its own health check', async () => {
    const status = () => inspect(SERVE, '{{.State.Health.Status}}');
    await until('the health check succeeds', async () => (await status()) === 'healthy');
    assert.equal(await docker('exec', SERVE, '/switchboard', 'ready'), 'ready');
  });

  test('reloads on SIGHUP', async () => {
    assert.equal((await post(graph, tokens[1].token, QUERY)).status, 401);
    await replace('switchboard.toml', configuration(tokens));
    await docker('kill', '--signal', 'HUP', SERVE);
    await until('the reload is logged', async () => (await logs(SERVE)).includes('configuration reloaded'));
    assert.equal((await post(graph, tokens[1].token, QUERY)).status, 200);
  });

  test('stays within 64 MB under load', async (t) => {
    let sent = 0;
    const client = async () => {
      while (sent < 4000) {
        const number = (sent += 1);
        // Each document is new, so none is answered from the response cache.
        const query = `{ a${number}: connectedAccounts(first: 100) { nodes { id userId status } } }`;
        const { status, body } = await post(graph, tokens[0].token, query);
        assert.equal(status, 200);
        assert.ok(body.data[`a${number}`], JSON.stringify(body.errors));
      }
    };
    await Promise.all(Array.from({ length: 32 }, client));
    t.diagnostic(`after ${sent} queries: ${await docker('stats', '--no-stream', '--format', '{{.MemUsage}}', SERVE)}`);
    assert.equal(await inspect(SERVE, '{{.State.OOMKilled}} {{.State.Running}} {{.RestartCount}}'), 'false true 0');
  });

  test('answers a request in flight after SIGTERM, and exits with 0', async () => {
    await fetch(`${sandbox}/__requests`, { method: 'DELETE' });
    await fetch(`${sandbox}/__faults/composio`, { method: 'PUT', headers: { 'x-emulate': 'latency-ms=2000' } });
    const query = '{ user(id: "user_1") { connectedAccounts(first: 7) { nodes { id } } } }';
    const flight = post(graph, tokens[0].token, query);
    const calls = async () => (await fetch(`${sandbox}/__requests`)).json();
    await until('the sandbox has the call', async () => (await calls()).length > 0);
    await docker('stop', SERVE);
    const { status, body } = await flight;
    assert.equal(status, 200);
    assert.ok(body.data.user.connectedAccounts.nodes.length > 0, JSON.stringify(body));
    assert.equal(await inspect(SERVE, '{{.State.ExitCode}}'), '0');
  });
});
