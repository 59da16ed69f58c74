// compose.yaml, started and operated with the commands of docs/deployment.md: two replicas, a rolling restart under
// load, Redis killed and back, rotated keys, Prometheus with the alerts. Both upstreams are a sandbox in a container.
// `make compose-test` runs it; CONTRIBUTING.md says what it needs.

import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { docker, freePort, inspect, newToken, post, root, run, until } from './engine.mjs';

const IMAGE = 'switchboard:local';
/** An image to test instead of building one. */
const BUILT = process.env.IMAGE;
const SETTINGS = 'examples/compose/switchboard/switchboard.toml';
const REPLICAS = ['switchboard-1', 'switchboard-2'];
/** The files that the image is built from, and those of compose.yaml. */
const FILES = [
  ...['Dockerfile', '.dockerignore', 'Cargo.toml', 'Cargo.lock', 'switchboard.default.toml', 'src', 'assets'],
  ...['compose.yaml', 'dashboards', 'examples/compose'],
];
const QUERY = '{ providers(first: 3) { nodes { name } } connectedAccounts(first: 3) { nodes { userId } } }';

/** Additional services and ports of the test: the sandbox, and what the test reads on loopback. */
const addition = (ports) => `
services:
  sandbox:
    image: ${IMAGE}
    command: [sandbox, --listen, "0.0.0.0:8090", --leadlex-plan, unmetered, --composio-plan, enterprise]
    networks: [front]
    healthcheck: {disable: true}
  switchboard-1:
    environment: &sandbox
      SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL: http://sandbox:8090/functions/v1/api-gateway
      SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL: http://sandbox:8090
    ports: ["127.0.0.1:${ports['switchboard-1']}:9090"]
  switchboard-2:
    environment: *sandbox
    ports: ["127.0.0.1:${ports['switchboard-2']}:9090"]
  prometheus:
    ports: ["127.0.0.1:${ports.prometheus}:9090"]
`;

describe('compose.yaml', () => {
  let directory, compose, url, ports, token, documented;

  /** Runs shell commands in the copy of the project, with the program that this machine has for `docker compose`. */
  const shell = (commands) =>
    run('sh', ['-euc', commands.replaceAll('docker compose', compose)], {
      cwd: directory,
      env: { ...process.env, COMPOSE_PROJECT_NAME: 'switchboard-test', COMPOSE_FILE: 'compose.yaml:test.yaml' },
    });
  const container = (service) => shell(`docker compose ps -q ${service}`);
  /** The first block of commands in docs/deployment.md that contains this text. */
  const block = (text) => documented.find((commands) => commands.includes(text)) ?? assert.fail(`no command: ${text}`);
  const change = async (name, edit) => {
    const path = join(directory, name);
    const before = await readFile(path, 'utf8');
    const text = edit(before);
    assert.notEqual(text, before, name);
    await writeFile(`${path}.new`, text, { mode: 0o644 });
    await rename(`${path}.new`, path);
  };
  const metrics = async (replica) => (await fetch(`http://127.0.0.1:${ports[replica]}/metrics`)).text();
  /** Whether both replicas find Redis reachable (1) or unreachable (0). */
  const store = async (value) => {
    const pages = await Promise.all(REPLICAS.map(metrics));
    return pages.every((page) => page.includes(`\nswitchboard_replica_store_up ${value}.0\n`));
  };
  const isHealthy = async (replica) =>
    (await inspect(await container(replica), '{{.State.Health.Status}}')) === 'healthy';

  /** Clients that query through the balancer until `stop`, which resolves with the number of responses by kind. */
  const load = () => {
    let [isOver, sent] = [false, 0];
    const responses = {};
    const client = async () => {
      while (!isOver) {
        sent += 1;
        // Every second document is new, so it is executed; the others may come from the response cache.
        const query = sent % 2 ? QUERY.replace('{', `{ a${sent}: __typename`) : QUERY;
        const kind = await post(url, token, query).then(
          ({ status, body }) => `${status}${body.errors ? ` ${JSON.stringify(body.errors)}` : ''}`,
          (error) => String(error.cause ?? error),
        );
        responses[kind] = (responses[kind] ?? 0) + 1;
      }
    };
    const clients = Promise.all(Array.from({ length: 8 }, client));
    return {
      sent: () => sent,
      stop: async () => {
        isOver = true;
        await clients;
        return responses;
      },
    };
  };

  before(async () => {
    compose = await run('docker', ['compose', 'version']).then(() => 'docker compose', () => 'docker-compose');
    directory = await mkdtemp(join(tmpdir(), 'switchboard-'));
    for (const name of FILES) await cp(root(name), join(directory, name), { recursive: true });
    ports = { prometheus: await freePort(), balancer: await freePort() };
    for (const replica of REPLICAS) ports[replica] = await freePort();
    url = `http://127.0.0.1:${ports.balancer}`;
    await change('compose.yaml', (text) => text.replace('127.0.0.1:8080:8080', `127.0.0.1:${ports.balancer}:8080`));
    await writeFile(join(directory, 'test.yaml'), addition(ports));
    const page = await readFile(root('docs/deployment.md'), 'utf8');
    documented = [...page.matchAll(/```sh\n([^]*?)```/g)].map(([, commands]) => commands);

    await writeFile(join(directory, 'leadlex.key'), 'wbk_sandbox_a');
    await writeFile(join(directory, 'composio.key'), 'ak_sandbox_a');
    await shell(block('mkdir -m 0700 secrets'));
    if (BUILT) await docker('tag', BUILT, IMAGE);
    else await shell('docker compose build');
    const created = await newToken(IMAGE);
    token = created.token;
    await change(SETTINGS, (text) => text.replace('0'.repeat(64), created.sha256));
    await shell('docker compose up -d');
    for (const replica of REPLICAS) await until(`${replica} is healthy`, () => isHealthy(replica));
  });

  after(async () => {
    await shell('docker compose down --volumes').catch(() => {});
    if (directory) await rm(directory, { recursive: true });
  });

  test('both replicas answer through the balancer, and use Redis', async () => {
    const isServing = async () => (await post(url, token, '{ __typename }')).status === 200;
    await until('the balancer has found a replica', isServing);
    const { status, body } = await post(url, token, QUERY);
    assert.equal(status, 200);
    assert.equal(body.errors, undefined);
    assert.equal(body.data.connectedAccounts.nodes.length, 3);
    await until('both replicas use Redis', () => store(1));
  });

  test('Prometheus accepts the rules, and scrapes both replicas', async () => {
    const promtool = 'docker compose run --rm --no-deps --entrypoint promtool prometheus';
    const said = await shell(`${promtool} check config /etc/prometheus/prometheus.yml`);
    assert.match(said, /SUCCESS: \d+ rules found/);
    await shell('docker compose up -d --no-deps prometheus');
    const api = async (path) => {
      const response = await fetch(`http://127.0.0.1:${ports.prometheus}/api/v1/${path}`);
      return (await response.json()).data;
    };
    await until('both replicas are scraped', async () => {
      const { activeTargets } = await api('targets');
      return activeTargets.length === 2 && activeTargets.every(({ health }) => health === 'up');
    });
    const { groups } = await api('rules');
    const alerts = (await readFile(root('dashboards/alerts.yml'), 'utf8')).match(/- alert: /g);
    assert.equal(groups.flatMap(({ rules }) => rules).length, alerts.length);
    await until('every rule was evaluated', async () => {
      const rules = (await api('rules')).groups.flatMap(({ rules }) => rules);
      return rules.every(({ health }) => health === 'ok');
    });
  });

  test('a rolling restart loses no request', async (t) => {
    const ids = await Promise.all(REPLICAS.map(container));
    const clients = load();
    const commands = block('--force-recreate');
    await shell(BUILT ? commands.replace('docker compose build', 'true') : commands);
    const responses = await clients.stop();
    t.diagnostic(JSON.stringify(responses));
    assert.deepEqual(Object.keys(responses), ['200']);
    const replaced = await Promise.all(REPLICAS.map(container));
    for (const id of ids) assert.equal(replaced.includes(id), false);
  });

  test('requests succeed while both replicas drain at the same time', async (t) => {
    const ids = await Promise.all(REPLICAS.map(container));
    const clients = load();
    // Both drain for `server.drain_ms`, which is 4 s. The balancer finds both not ready after two.
    const end = Date.now() + 3_800;
    await docker('kill', '--signal', 'TERM', ...ids);
    await delay(Math.max(end - Date.now(), 0));
    const responses = await clients.stop();
    t.diagnostic(JSON.stringify(responses));
    assert.deepEqual(Object.keys(responses), ['200']);
    const hasEnded = async (id) => (await inspect(id, '{{.State.Running}}')) === 'false';
    for (const id of ids) await until('the replica has ended', () => hasEnded(id));
    await shell('docker compose start switchboard-1 switchboard-2');
    for (const replica of REPLICAS) await until(`${replica} is healthy`, () => isHealthy(replica));
    const isServing = async () => (await post(url, token, '{ __typename }')).status === 200;
    await until('the balancer has found a replica', isServing);
  });

  test('requests succeed while Redis is killed, and it is used again after its start', async (t) => {
    const clients = load();
    await shell('docker compose kill redis');
    await until('both replicas find Redis unreachable', () => store(0));
    const before = clients.sent();
    await until('requests are answered without Redis', () => clients.sent() > before + 200);
    await shell('docker compose start redis');
    await until('both replicas use Redis again', () => store(1));
    const responses = await clients.stop();
    t.diagnostic(JSON.stringify(responses));
    assert.deepEqual(Object.keys(responses), ['200']);
  });

  test('rotated keys and tokens are used after a reload, without a failed request', async (t) => {
    const query = '{ connectedAccounts(first: 1) { nodes { connectedAccountId } } }';
    const account = async (at) => (await post(url, at, query)).body.data?.connectedAccounts.nodes[0].connectedAccountId;
    const [first, created] = [await account(token), await newToken(IMAGE)];
    const clients = load();
    // The keys of the sandbox's second tenant, whose data differs.
    await change('secrets/switchboard/leadlex', () => 'wbk_sandbox_b');
    await change('secrets/switchboard/composio', () => 'ak_sandbox_b');
    const next = `[[auth.tokens]]\nname = "next"\nsha256 = "${created.sha256}"\nrole = "admin"\n\n`;
    await change(SETTINGS, (text) => text.replace('[[auth.tokens]]', `${next}[[auth.tokens]]`));
    await shell('docker compose kill -s HUP switchboard-1 switchboard-2');
    for (const replica of REPLICAS) {
      const reloaded = /^switchboard_config_reloads_total\{outcome="ok"\} 1$/m;
      await until(`${replica} has reloaded`, async () => reloaded.test(await metrics(replica)));
    }
    assert.notEqual(await account(created.token), first);
    const responses = await clients.stop();
    t.diagnostic(JSON.stringify(responses));
    assert.deepEqual(Object.keys(responses), ['200']);
  });

  test('all services stop, and the replicas exit with 0', async () => {
    const ids = await Promise.all(REPLICAS.map(container));
    await shell('docker compose stop');
    for (const id of ids) assert.equal(await inspect(id, '{{.State.ExitCode}}'), '0');
  });
});
