// The Grafana dashboard and the alert rules use only metrics that Switchboard exports, in queries that Prometheus accepts.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { parser } from '@prometheus-io/lezer-promql';

import { programs } from './python.mjs';
import { start, startSandbox } from './support.mjs';

const read = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

/** The labels that Prometheus adds to every scraped series, and the series that it creates for each scrape. */
const SCRAPED = ['instance', 'job'];
const UP = 'up';

/** Exported only with a shared store, which needs a server. docs/metrics.md is used for these, and a Rust test compares it with a run. */
const SHARED = 'switchboard_replica_';

const dashboard = JSON.parse(await read('dashboards/switchboard.json'));
const panels = dashboard.panels.filter((panel) => panel.type !== 'row');
const queries = [
  ...panels.flatMap((panel) => panel.targets.map(({ expr, legendFormat }) => ({ of: panel.title, expr, legendFormat }))),
  ...[...(await read('dashboards/alerts.yml')).matchAll(/- alert: (\S+)\n(?: +#.*\n)* +expr: (.+)\n/g)].map(([, of, expr]) => ({ of, expr })),
];

/** The syntax tree of a query with Grafana's variables replaced. */
function tree(expr) {
  const text = expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*');
  const nodes = [];
  const walk = (node, above) => {
    nodes.push({ name: node.name, text: text.slice(node.from, node.to), node, above });
    for (let child = node.firstChild; child; child = child.nextSibling) walk(child, [...above, node]);
  };
  walk(parser.parse(text).topNode, []);
  return { nodes, text };
}

/** Metrics by name: kind, and all values of each label. */
function scraped(page) {
  const metrics = new Map();
  let kind;
  for (const line of page.split('\n')) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type) kind = type[2];
    const sample = /^([a-z_]+)(?:\{(.*)\})? \S+$/.exec(line);
    if (!sample) continue;
    const metric = metrics.get(sample[1]) ?? { kind, labels: new Map() };
    for (const [, label, value] of (sample[2] ?? '').matchAll(/([a-z_]+)="([^"]*)"/g)) {
      metric.labels.set(label, (metric.labels.get(label) ?? new Set()).add(value));
    }
    metrics.set(sample[1], metric);
  }
  return metrics;
}

/** The same from the page in docs/, for metrics of the shared store. */
function documented(page) {
  const rows = page.split('\n').filter((line) => line.startsWith(`| \`${SHARED}`));
  return rows.map((row) => {
    const [, name, kind, , labels] = row.split('|').map((cell) => cell.trim());
    const of = labels.split('<br>').filter(Boolean).map((label) => {
      const [word, ...values] = [...label.matchAll(/`([^`]+)`/g)].map(([, text]) => text);
      return [word, new Set(values)];
    });
    return [name.replaceAll('`', ''), { kind, labels: new Map(of) }];
  });
}

describe('dashboards', () => {
  let sandbox, graph, folder, metrics, declared;

  before(async () => {
    sandbox = await startSandbox();
    folder = await mkdtemp(join(tmpdir(), 'switchboard-'));
    const config = join(folder, 'switchboard.toml');
    await writeFile(
      config,
      `[upstream.leadlex]\nbase_url = "${new URL('functions/v1/api-gateway', sandbox.url)}"\napi_key = "wbk_sandbox_a"\n` +
        `[upstream.composio]\nbase_url = "${sandbox.url}"\napi_key = "ak_sandbox_a"\n`,
    );
    graph = await start('serve', '--config', config, '--listen', '127.0.0.1:0', '--ops-listen', '127.0.0.1:0');
    const ask = (query, accept = 'application/json') =>
      fetch(graph.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept },
        body: JSON.stringify({ query }),
      });
    const answer = async (query) => (await ask(query)).json();
    const overview = 'query Overview { providers { nodes { name connectedAccounts(first: 3) { nodes { id } } } } }';
    for (let i = 0; i < 3; i += 1) assert.equal((await answer(overview)).errors, undefined);
    await answer('query Wrong { nothing }');
    const stream = await ask('subscription { providerChanged { kind } }', 'text/event-stream');
    await stream.body.getReader().read();
    await answer('mutation { refresh { retryAt } }');
    await answer(overview);
    await sandbox.stop();
    await answer('query Failing { connectedAccounts(first: 3, filter: { userIds: ["unknown"] }) { nodes { id } } }');
    const [, ops] = /^Probes: (\S+)\/live,/m.exec(graph.lines.join('\n'));
    const page = await fetch(`${ops}/metrics`, { headers: { accept: 'application/openmetrics-text' } });
    assert.match(page.headers.get('content-type'), /^application\/openmetrics-text; version=1\.0\.0/);
    const docs = await read('docs/metrics.md');
    metrics = new Map([...scraped(await page.text()), ...documented(docs)]);
    declared = docs;
  });

  after(async () => {
    await graph?.stop();
    await sandbox?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  test('the queries are found', () => {
    assert.ok(queries.length > 35, `${queries.length}`);
    assert.ok(queries.some(({ of }) => of === 'SwitchboardQuotaNearlyUsed'));
  });

  for (const { of, expr, legendFormat } of queries) {
    test(`${of}: ${expr}`, () => {
      const { nodes } = tree(expr);
      assert.ok(!nodes.some(({ node }) => node.type.isError), 'Prometheus cannot parse it');
      const selectors = nodes.filter(({ name }) => name === 'VectorSelector');
      assert.ok(selectors.length > 0);
      const known = new Set(SCRAPED);
      for (const { node, above } of selectors) {
        const inside = nodes.filter((one) => one.above.includes(node) || one.node === node);
        const name = inside.find((one) => one.name === 'Identifier').text;
        if (name === UP) continue;
        const metric = metrics.get(name);
        // A series of an event that did not occur here is absent. A Rust test makes it occur.
        const isRare = !metric && declared.includes(`| \`${name}\` | `);
        assert.ok(metric || isRare, `${name} is not exported`);
        const kind = metric?.kind ?? /\| (\w+) \|/.exec(declared.slice(declared.indexOf(`| \`${name}\``)).slice(name.length + 4))[1];
        for (const label of metric?.labels.keys() ?? labelsOf(declared, name)) known.add(label);
        for (const { text } of inside.filter((one) => one.name === 'UnquotedLabelMatcher')) {
          const [, label, operator, value] = /^(\w+)\s*(=~|!~|!=|=)\s*"(.*)"$/.exec(text);
          assert.ok(SCRAPED.includes(label) || metric?.labels.has(label) || labelsOf(declared, name).includes(label), `${name} has no ${label}`);
          if (SCRAPED.includes(label)) continue;
          const words = valuesOf(declared, name, label);
          for (const one of operator.includes('~') ? value.split('|') : [value]) {
            const pattern = new RegExp(`^(?:${one})$`);
            assert.ok(words.some((word) => (operator.includes('~') ? pattern.test(word) : word === one)), `no ${name} has ${label}="${one}"`);
          }
        }
        const calls = above.filter((node) => node.name === 'FunctionCall').map((node) => node.getChild('FunctionIdentifier').firstChild.name);
        const isRate = calls.some((call) => ['Rate', 'Increase'].includes(call));
        const grows = kind === 'counter' || /_(bucket|sum|count)$/.test(name);
        assert.equal(isRate, grows, `${name} is a ${kind}`);
        if (calls.includes('HistogramQuantile')) assert.match(name, /_bucket$/);
        if (name.endsWith('_bucket')) assert.ok(calls.includes('HistogramQuantile') && kind === 'histogram');
      }
      for (const { text } of nodes.filter((one) => one.name === 'GroupingLabels').flatMap(({ node }) => nodes.filter((one) => one.above.includes(node) && one.name === 'LabelName'))) {
        assert.ok(known.has(text), `nothing has ${text}`);
      }
      if (expr.includes('histogram_quantile')) assert.match(expr, /sum by \(le\b/);
      for (const [, label] of (legendFormat ?? '').matchAll(/{{(\w+)}}/g)) {
        const isGrouped = !/\bby \(/.test(expr) || new RegExp(`by \\([^)]*\\b${label}\\b`).test(expr);
        assert.ok(known.has(label) && isGrouped, `the legend's ${label} is not there`);
      }
    });
  }

  test('the dashboard has only keys of Grafana', () => {
    const unknown = (dashboard) =>
      execFileSync(join(programs(), 'python'), ['dashboard_schema.py'], { input: JSON.stringify(dashboard), encoding: 'utf8' }).trim();
    assert.equal(unknown(dashboard), '');
    assert.equal(unknown({ ...dashboard, titel: 'Switchboard' }), 'dashboard.titel');
  });

  test('the dashboard is portable: its data source is a variable', () => {
    const variables = dashboard.templating.list.map(({ name }) => name);
    assert.deepEqual(variables, ['datasource', 'instance']);
    for (const panel of panels) {
      for (const asked of [panel, ...panel.targets]) assert.equal(asked.datasource.uid, '${datasource}', panel.title);
    }
    const ids = dashboard.panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    assert.deepEqual(
      dashboard.panels.filter(({ type }) => type === 'row').map(({ title }) => title),
      ['Traffic', 'Errors', 'Upstreams', 'Cache', 'Shared state (Redis)', 'Subscriptions', 'Process'],
    );
  });
});

/** The labels of a metric in docs/metrics.md. */
function labelsOf(page, name) {
  const row = page.split('\n').find((line) => line.startsWith(`| \`${name}\` |`)) ?? '';
  const cell = row.split('|')[4] ?? '';
  return cell.split('<br>').map((label) => /`(\w+)`:/.exec(label)?.[1]).filter(Boolean);
}

/** The listed values of a metric's label in docs/metrics.md. */
function valuesOf(page, name, label) {
  const row = page.split('\n').find((line) => line.startsWith(`| \`${name.replace(/_(bucket|sum|count)$/, '')}\` |`)) ?? '';
  const cell = (row.split('|')[4] ?? '').split('<br>').find((part) => part.trim().startsWith(`\`${label}\`:`)) ?? '';
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, word]) => word).slice(1);
}
