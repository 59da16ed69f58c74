// The Helm chart: rendered by Helm, valid for Kubernetes' schemas, and hardened. No cluster is needed, and none is tested.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { programs } from './python.mjs';

const root = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const CHART = root('deploy/helm/switchboard');
/** The oldest version of Chart.yaml that the schemas have, and the newest. */
const VERSIONS = ['1.30', '1.37'];
const USUAL = { config: '[auth]\nmode = "tokens"\n', secret: { existing: 'keys' } };
const peer = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } };
const EVERYTHING = {
  config: '[auth]\nmode = "tokens"\n# a "quoted" \\ line\n',
  secret: { files: { leadlex: 'wbk_canary', composio: 'ak_canary' } },
  image: { digest: `sha256:${'0'.repeat(64)}`, pullSecrets: [{ name: 'registry' }] },
  env: [{ name: 'SSL_CERT_FILE', value: '/etc/switchboard/ca.pem' }],
  service: { type: 'LoadBalancer', port: 8080, annotations: { 'example.com/internal': 'true' } },
  autoscaling: { enabled: true },
  networkPolicy: { clients: [peer], ops: [peer], egress: [{ to: [peer], ports: [{ port: 6379 }] }] },
  serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
  podAnnotations: { 'example.com/a': 'b' },
  podLabels: { team: 'a' },
  nodeSelector: { 'kubernetes.io/arch': 'amd64' },
  tolerations: [{ key: 'a', operator: 'Exists' }],
  affinity: { nodeAffinity: {} },
  priorityClassName: 'high',
};

describe('the Helm chart', () => {
  let bin;

  /** Runs Helm with these values; returns standard output. Throws with its messages. */
  const helm = (values, command, ...args) =>
    execFileSync(join(bin, 'helm'), [...command, CHART, '--values', '-', ...args], {
      input: JSON.stringify(values),
      encoding: 'utf8',
      stdio: 'pipe',
    });
  /** The validated manifests of a release by kind and name. */
  const render = (values) => {
    const rendered = helm(values, ['template', 'demo']);
    const manifests = execFileSync(join(bin, 'python'), ['chart.py', ...VERSIONS], { input: rendered, encoding: 'utf8' });
    return Object.fromEntries(JSON.parse(manifests).map((manifest) => [`${manifest.kind}/${manifest.metadata.name}`, manifest]));
  };
  const refused = (values, message) => assert.throws(() => helm(values, ['template', 'demo']), message);

  before(() => {
    bin = programs();
    if (!existsSync(join(bin, 'helm'))) execFileSync(join(bin, 'python'), ['helm_binary.py'], { stdio: 'inherit' });
  });

  test('has the version of the package', () => {
    const version = /^version = "(.+)"$/m.exec(readFileSync(root('Cargo.toml'), 'utf8'))[1];
    const chart = readFileSync(join(CHART, 'Chart.yaml'), 'utf8');
    assert.deepEqual([...chart.matchAll(/^(?:appVersion|version): (.+)$/gm)].map(([, found]) => found), [version, version]);
  });

  test('passes helm lint', () => {
    for (const values of [USUAL, EVERYTHING]) assert.match(helm(values, ['lint', '--strict']), /0 chart\(s\) failed/);
  });

  test('renders what a small release needs', () => {
    const objects = render(USUAL);
    const name = 'demo-switchboard';
    const kinds = ['ConfigMap', 'Deployment', 'NetworkPolicy', 'PodDisruptionBudget', 'Service'];
    assert.deepEqual(Object.keys(objects).sort(), kinds.map((kind) => `${kind}/${name}`));
    assert.equal(objects[`ConfigMap/${name}`].data['switchboard.toml'], USUAL.config);
    const { spec } = objects[`Deployment/${name}`];
    assert.equal(spec.replicas, 2);
    assert.equal(spec.template.spec.volumes[1].secret.secretName, 'keys');
    const selector = objects[`Service/${name}`].spec.selector;
    for (const [label, value] of Object.entries(selector)) assert.equal(spec.template.metadata.labels[label], value);
  });

  test('renders every option', () => {
    const objects = render(EVERYTHING);
    const kinds = Object.keys(objects).map((key) => key.split('/')[0]);
    for (const kind of ['Secret', 'HorizontalPodAutoscaler', 'ServiceMonitor']) assert.ok(kinds.includes(kind), kind);
    const { spec } = objects['Deployment/demo-switchboard'];
    assert.equal(spec.replicas, undefined);
    assert.equal(spec.template.metadata.labels.team, 'a');
    assert.match(spec.template.spec.containers[0].image, /@sha256:0{64}$/);
    assert.equal(objects['ConfigMap/demo-switchboard'].data['switchboard.toml'], EVERYTHING.config);
    assert.equal(objects['Secret/demo-switchboard'].stringData.leadlex, 'wbk_canary');
    assert.doesNotMatch(JSON.stringify(spec), /canary/);
    assert.deepEqual(objects['NetworkPolicy/demo-switchboard'].spec.ingress[1], { ports: [{ port: 'ops' }], from: [peer] });
    // The ServiceMonitor selects the Service of the second listener, which clients do not get.
    const { matchLabels } = objects['ServiceMonitor/demo-switchboard'].spec.selector;
    const { metadata } = objects['Service/demo-switchboard-ops'];
    for (const [label, value] of Object.entries(matchLabels)) assert.equal(metadata.labels[label], value);
    assert.deepEqual(objects['Service/demo-switchboard'].spec.ports, [{ name: 'http', port: 8080, targetPort: 'http' }]);
  });

  test('meets the restricted Pod Security Standard', () => {
    const { spec } = render(USUAL)['Deployment/demo-switchboard'].spec.template;
    assert.equal(spec.enableServiceLinks, false);
    assert.equal(spec.automountServiceAccountToken, false);
    assert.equal(spec.securityContext.runAsNonRoot, true);
    assert.deepEqual(spec.securityContext.seccompProfile, { type: 'RuntimeDefault' });
    const [container] = spec.containers;
    assert.deepEqual(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    assert.ok(container.volumeMounts.every(({ readOnly }) => readOnly));
    assert.ok(container.resources.limits.memory);
  });

  test('probes the second listener, and drains within the grace period', () => {
    const { spec } = render(USUAL)['Deployment/demo-switchboard'].spec.template;
    const [{ ports, startupProbe, livenessProbe, readinessProbe, lifecycle }] = spec.containers;
    const dockerfile = readFileSync(root('Dockerfile'), 'utf8');
    for (const { containerPort } of ports) assert.match(dockerfile, new RegExp(`=0.0.0.0:${containerPort}\\b`));
    assert.deepEqual([startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.port), ['ops', 'ops', 'ops']);
    assert.deepEqual([livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.path), ['/live', '/ready']);
    const setting = (name) => Number(new RegExp(`^${name} = ([\\d_]+)`, 'm').exec(readFileSync(root('switchboard.default.toml'), 'utf8'))[1].replaceAll('_', ''));
    const needed = lifecycle.preStop.sleep.seconds * 1000 + setting('drain_ms') + setting('shutdown_ms');
    assert.ok(spec.terminationGracePeriodSeconds * 1000 > needed);
  });

  test('a changed configuration replaces the pods', () => {
    const checksum = (values) =>
      render(values)['Deployment/demo-switchboard'].spec.template.metadata.annotations['checksum/configuration'];
    assert.equal(checksum(USUAL), checksum(USUAL));
    assert.notEqual(checksum(USUAL), checksum({ ...USUAL, config: '[auth]\nmode = "jwt"\n' }));
  });

  test('refuses wrong and missing values', () => {
    refused({ ...USUAL, config: undefined }, /set it to the text of switchboard\.toml/);
    refused({ config: USUAL.config }, /name an existing Secret, or set files/);
    refused({ ...USUAL, replicsa: 3 }, /replicsa/);
    refused({ ...USUAL, replicas: 'three' }, /replicas/);
    refused({ ...USUAL, image: { digest: 'sha256:1' } }, /digest/);
    refused({ ...USUAL, networkPolicy: { clients: 'all' } }, /clients/);
  });
});
