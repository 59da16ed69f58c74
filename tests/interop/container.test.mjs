// The image and the deployment of two replicas, without a container engine: lints, required properties, and the load balancer's
// configuration in front of two real processes that are restarted one by one. tests/container runs the containers.

import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { on, once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { createClient as createSse } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { programs } from './python.mjs';
import { binary, start, startSandbox } from './support.mjs';

const root = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const run = promisify(execFile);

/** Debian's administrator programs are not on every user's path. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` };

test('hadolint accepts the Dockerfile', async () => {
  await run(join(programs(), 'hadolint'), ['--failure-threshold', 'info', root('Dockerfile')]);
});

test('the systemd unit is valid and hardened', async (t) => {
  const analyze = (...options) => run('systemd-analyze', [...options, root('deploy/systemd/switchboard.service')], { env });
  if (!(await run('systemd-analyze', ['--version'], { env }).catch(() => null))) {
    t.diagnostic('NOT CHECKED: the systemd unit, because systemd-analyze is not installed');
    return;
  }
  const { stderr } = await analyze('verify').catch((failed) => failed);
  const problems = stderr.split('\n').filter((line) => line && !/switchboard is not executable: No such file/.test(line));
  assert.deepEqual(problems, []);
  // The exposure is a number from 0 to 10, here times ten. systemd-analyze fails above the threshold.
  await analyze('security', '--offline=true', '--threshold=20');
});

const composed = () => JSON.parse(execFileSync(join(programs(), 'python'), ['composed.py', root('compose.yaml')]));
const seconds = (text) => Number(/^(\d+)s$/.exec(text)[1]);

test('compose.yaml is valid, and every service is hardened', () => {
  const { services, secrets } = composed();
  const replicas = Object.values(services).filter(({ build }) => build);
  assert.equal(replicas.length, 2);
  for (const [name, service] of Object.entries(services)) {
    assert.equal(service.read_only, true, name);
    assert.deepEqual(service.cap_drop, ['ALL'], name);
    assert.deepEqual(service.security_opt, ['no-new-privileges:true'], name);
    assert.match(service.image, /:[^:]+$/, `${name} has no version`);
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:/, name);
    for (const value of Object.values(service.environment ?? {})) assert.doesNotMatch(value, /_sandbox_|swb_/);
    for (const secret of service.secrets ?? []) assert.ok(secrets[secret].file, secret);
    assert.equal(service.logging?.driver, 'json-file', `the log of ${name} is unbounded`);
    assert.ok(service.logging.options['max-size'] && service.logging.options['max-file'], name);
  }
  // A file that is mounted alone is never replaced: an editor saves a new file, which a reload would not find.
  const places = new Set(['/run/secrets/redis_password']);
  for (const { volumes } of replicas) for (const mounted of volumes) places.add(mounted.split(':')[1]);
  const named = readFileSync(root('examples/compose/switchboard/switchboard.toml'), 'utf8').matchAll(/_file = "(.*)"/g);
  for (const [, file] of named) assert.ok(places.has(file) ? file.startsWith('/run/secrets/') : places.has(dirname(file)), file);
  // Prometheus finds the alert rules at their path.
  const [, rules] = /^rule_files: \[(.*)\]$/m.exec(readFileSync(root('examples/compose/prometheus.yml'), 'utf8'));
  assert.ok(services.prometheus.volumes.includes(`./dashboards/alerts.yml:${rules}:ro`), rules);
  const setting = (text, name) => Number(new RegExp(`^${name} = ([\\d_]+)`, 'm').exec(text)[1].replaceAll('_', ''));
  const own = readFileSync(root('examples/compose/switchboard/switchboard.toml'), 'utf8');
  const shipped = readFileSync(root('switchboard.default.toml'), 'utf8');
  const ending = setting(own, 'drain_ms') + setting(shipped, 'shutdown_ms');
  for (const replica of replicas) assert.ok(seconds(replica.stop_grace_period) * 1000 > ending);
});

/** A test context with cleanup in reverse order: clients end before their servers. */
function backward(t) {
  const ends = [];
  t.after(async () => {
    while (ends.length > 0) await ends.pop()();
  });
  return { after: (end) => ends.push(end) };
}

/** A temporary directory of the test. */
function directory(t) {
  const path = mkdtempSync(join(tmpdir(), 'switchboard-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** A port that was free just now. */
async function port() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** The replicas' configuration with secrets, for a sandbox and one token. */
async function configuration(t) {
  const sandbox = await startSandbox();
  t.after(() => sandbox.stop());
  const [path, token] = [directory(t), await run(binary, ['token', 'new'])];
  const secrets = { leadlex: 'wbk_sandbox_a', composio: 'ak_sandbox_a', ids: 'a secret of many characters', redis_password: 'x' };
  for (const [name, secret] of Object.entries(secrets)) writeFileSync(join(path, name), secret);
  const upstream = {
    leadlex: `${sandbox.url}/functions/v1/api-gateway`,
    composio: sandbox.url,
  };
  let text = readFileSync(root('examples/compose/switchboard/switchboard.toml'), 'utf8')
    .replaceAll(/\/run\/(secrets|switchboard)(?=\/)/g, path)
    .replace('0'.repeat(64), /sha256 = "(\w+)"/.exec(token.stdout)[1])
    .replace('redis://redis:6379', '');
  for (const [name, url] of Object.entries(upstream)) {
    text = text.replace(`[upstream.${name}]\n`, `[upstream.${name}]\nbase_url = "${url}"\n`);
  }
  const file = join(path, 'switchboard.toml');
  writeFileSync(file, text);
  return { file, sandbox, bearer: `Bearer ${/swb_[\w-]+/.exec(token.stdout)[0]}` };
}

/** A DNS server that resolves every name to loopback, like an engine's for the names of containers. Returns its port. */
async function nameServer(t) {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  socket.on('message', (query, { port, address }) => {
    // After the header the question: a name that ends with a zero byte, its type, its class.
    const end = query.indexOf(0, 12) + 5;
    const isA = query.readUInt16BE(end - 4) === 1;
    const header = [query[0], query[1], 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0];
    const record = isA ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1] : [];
    socket.send(Buffer.from([...header, ...query.subarray(12, end), ...record]), port, address);
  });
  return socket.address().port;
}

/** Starts the load balancer of compose.yaml in front of these replicas, each with two ports. Returns its address. */
async function balancer(t, replicas) {
  const [listen, dns] = [await port(), await nameServer(t)];
  let text = readFileSync(root('examples/compose/haproxy.cfg'), 'utf8').replace('bind :8080', `bind 127.0.0.1:${listen}`);
  assert.ok(text.includes(' 127.0.0.11:53'));
  text = text.replace(' 127.0.0.11:53', ` 127.0.0.1:${dns}`);
  replicas.forEach(({ graph, ops }, index) => {
    const name = `switchboard-${index + 1}`;
    assert.ok(text.includes(` ${name}:8080 check port 9090`) && text.includes(` ${name}:8080 backup`));
    text = text.replace(`${name}:8080 check port 9090`, `${name}:${graph} check port ${ops}`);
    text = text.replace(`${name}:8080 backup`, `${name}:${graph} backup`);
  });
  const file = join(directory(t), 'haproxy.cfg');
  writeFileSync(file, text);
  await run('haproxy', ['-c', '-f', file], { env });
  const process = spawn('haproxy', ['-f', file], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(async () => {
    process.kill('SIGKILL');
    if (process.exitCode === null && process.signalCode === null) await once(process, 'exit');
  });
  const lines = createInterface(process.stdout);
  const says = async (words) => {
    for await (const [line] of on(lines, 'line')) if (line.includes(words)) return;
  };
  return {
    url: `http://127.0.0.1:${listen}`,
    /** Resolves when it has found that a replica became ready. */
    finds: (number) => says(`switchboard-${number} is UP`),
    /** Resolves when it has found that a replica is no longer ready. */
    misses: (number) => says(`switchboard-${number} is DOWN`),
  };
}

/** Starts a replica on its ports, or restarts it. */
async function serve(replica, file) {
  const address = (port) => `127.0.0.1:${port}`;
  replica.process = await start('serve', '--config', file, '--listen', address(replica.graph), '--ops-listen', address(replica.ops));
}

const QUERY = '{ providers(first: 3) { nodes { name } } connectedAccounts(first: 3) { nodes { userId } } }';

/** Two replicas behind a load balancer that has found one ready, and functions to send requests. */
async function balanced(t, file, bearer) {
  const replicas = [];
  for (let index = 0; index < 2; index += 1) replicas.push({ graph: await port(), ops: await port() });
  for (const replica of replicas) await serve(replica, file);
  // Twice, for replicas that still accept requests while draining.
  t.after(() => Promise.all(replicas.flatMap(({ process }) => [process.stop(), process.stop()])));
  const front = await balancer(t, replicas);
  const ask = (at = front.url, query = QUERY) =>
    fetch(`${at}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: bearer },
      body: JSON.stringify({ query }),
    });
  // The load balancer's own response until it has found a ready replica.
  while ((await ask().catch(() => ({ status: 503 }))).status === 503) await setImmediate();
  return { replicas, ask, ...front };
}

test('requests succeed while all replicas drain at the same time', async (test) => {
  const t = backward(test);
  const { file, bearer } = await configuration(t);
  // Draining lasts until a second signal, so that the test has no race.
  writeFileSync(file, readFileSync(file, 'utf8').replace('drain_ms = 4_000', 'drain_ms = 600_000'));
  const { replicas, ask, misses } = await balanced(t, file, bearer);
  const missed = Promise.all([misses(1), misses(2)]);
  const ended = replicas.map(({ process }) => process.stop());
  let isMissed = false;
  missed.then(() => (isMissed = true));
  while (!isMissed) assert.equal((await ask()).status, 200);
  for (let asked = 0; asked < 20; asked += 1) assert.equal((await ask()).status, 200);
  // After one has ended, the other gets all requests.
  await replicas[0].process.stop();
  for (let asked = 0; asked < 20; asked += 1) assert.equal((await ask()).status, 200);
  await replicas[1].process.stop();
  assert.deepEqual(await Promise.all(ended), [0, 0]);
});

test('a rolling restart behind the load balancer loses no request, and streams reconnect', async (test) => {
  const t = backward(test);
  const { file, sandbox, bearer } = await configuration(t);
  const { replicas, ask, url, finds } = await balanced(t, file, bearer);
  const isReady = ({ ops }) => run(binary, ['ready', '--ops-listen', `127.0.0.1:${ops}`]).then(() => true, () => false);
  await sandbox.requests();

  let [isOver, asked] = [false, 0];
  const answers = new Set();
  const client = async () => {
    while (!isOver) {
      const response = await ask();
      answers.add(`${response.status} ${(await response.text()).length > 0}`);
      asked += 1;
    }
  };
  const load = Promise.all([client(), client(), client(), client()]);

  const query = 'subscription { connectedAccountChanged { kind connectedAccount { connectedAccountId } } }';
  const socket = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: bearer },
    shouldRetry: () => true,
    retryAttempts: 100,
    retryWait: () => delay(20),
  });
  t.after(() => socket.dispose());
  const closes = [];
  socket.on('closed', ({ code }) => closes.push(code));
  let connections = 0;
  socket.on('connected', () => (connections += 1));
  const changes = socket.iterate({ query });
  const next = changes.next().catch((reason) => assert.fail(`${reason.constructor.name} ${reason.code} ${reason.message}`));
  const events = createSse({ url: `${url}/graphql`, headers: { authorization: bearer }, retryAttempts: 0 });
  t.after(() => events.dispose());
  const heard = events.iterate({ query });
  const ended = heard.next().then(({ value }) => JSON.stringify(value ?? {}), String);

  for (const [index, replica] of replicas.entries()) {
    const found = finds(index + 1);
    assert.equal(await replica.process.stop(), 0);
    await serve(replica, file);
    assert.ok(await isReady(replica));
    // The other ends after the load balancer has found this one ready and has sent it a request.
    await found;
    for (const before = asked; asked < before + 20; ) await setImmediate();
  }
  assert.match(await ended, /OVERLOADED|shutting down/);
  isOver = true;
  await load;
  assert.deepEqual([...answers], ['200 true']);

  // The subscriber has reconnected and receives new changes.
  assert.ok(closes.every((code) => code === 1001) && closes.length > 0, String(closes));
  assert.ok(connections > closes.length, `${connections} connections, ${closes.length} closed`);
  let isHeard = false;
  next.finally(() => (isHeard = true));
  for (let made = 0; !isHeard; made += 1) {
    const account = `${sandbox.url}/__accounts/ca_made_${made}?toolkit=gmail&user_id=user_1`;
    await fetch(account, { method: 'PUT', headers: { 'x-api-key': 'ak_sandbox_a' } });
    // On both replicas, because the subscriber is connected to one of them.
    for (const { graph } of replicas) {
      await ask(`http://127.0.0.1:${graph}`, 'mutation { refresh(upstream: COMPOSIO) { retryAt } }');
    }
    await Promise.race([next, delay(100)]);
  }
  assert.equal((await next).value.data.connectedAccountChanged.kind, 'ADDED');
});
