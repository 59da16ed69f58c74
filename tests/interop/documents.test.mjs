// The blocks of README.md and docs/*.md, run as they are written.
//
// A `graphql` or `curl` block goes to a demo of its own, and must return the `json` block that follows it, or no errors if
// none follows. `toml` blocks must pass `switchboard check` against a sandbox. Links must lead to files that exist.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { binary, start, startSandbox } from './support.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path) => readFileSync(join(root, path), 'utf8');
/** Pages that a test writes. */
const others = ['docs/configuration.md', 'docs/faults.md', 'docs/health.md', 'docs/metrics.md'];
const documents = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`);
const pages = ['README.md', ...documents.filter((name) => !others.includes(name))];
const linked = [...pages, ...others, 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md'];

/** Every fenced block of a page: its language, its text, its line, and the block that follows directly. */
const blocksOf = (page) => {
  const text = read(page);
  const found = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)];
  return found.map(({ 0: whole, 1: language, 2: block, index }, place) => {
    const next = found[place + 1];
    const isDirect = next && text.slice(index + whole.length, next.index).trim() === '';
    return { page, language, text: block, line: text.slice(0, index).split('\n').length, next: isDirect ? next : undefined };
  });
};
const blocks = pages.flatMap(blocksOf);
const of = (...languages) => blocks.filter(({ language }) => languages.includes(language));

/** The JSON block right after a block, without the times in a trace. */
const expected = ({ next }) => (next?.[1] === 'json' ? timeless(next[2]) : undefined);
const timeless = (text) => JSON.parse(text, (name, value) => (/^(took|startedAt)Ms$/.test(name) ? 0 : value));

async function onADemo(ask) {
  const demo = await start('demo', '--listen', '127.0.0.1:0');
  try {
    return timeless(await ask(`${demo.url}graphql`));
  } finally {
    await demo.stop();
  }
}

function answered(block, answer) {
  const right = expected(block);
  if (right) assert.deepEqual(answer, right);
  else assert.equal(answer.errors, undefined);
}

describe('documents', () => {
  for (const block of of('graphql')) {
    test(`${block.page}:${block.line}: the query returns the documented response`, async () => {
      const body = JSON.stringify({ query: block.text });
      const headers = { 'content-type': 'application/json' };
      const answer = await onADemo(async (url) => (await fetch(url, { method: 'POST', headers, body })).text());
      // Without its variables an operation is validated, and not executed.
      const needsVariables = /\(\$/.test(block.text);
      if (needsVariables) for (const error of answer.errors) assert.equal(error.extensions.reason, 'BAD_VARIABLE', error.message);
      else answered(block, answer);
    });
  }

  for (const block of of('sh').filter(({ text }) => text.startsWith('curl ') && !text.includes('/__'))) {
    test(`${block.page}:${block.line}: the curl command works`, async () => {
      const own = 'http://127.0.0.1:8080/graphql';
      assert.ok(block.text.includes(own), `it uses ${own}`);
      const ask = (url) => execFileSync('sh', ['-c', block.text.replace(own, url)], { encoding: 'utf8' });
      answered(block, await onADemo(ask));
    });
  }

  for (const { page, text, line } of of('toml')) {
    test(`${page}:${line}: the configuration passes check`, async () => {
      const directory = mkdtempSync(join(tmpdir(), 'switchboard-'));
      const sandbox = await startSandbox();
      try {
        mkdirSync(join(directory, 'secrets'));
        writeFileSync(join(directory, 'secrets/leadlex'), 'wbk_sandbox_a\n');
        writeFileSync(join(directory, 'secrets/composio'), 'ak_sandbox_a\n');
        writeFileSync(join(directory, 'collector.headers'), 'authorization=Bearer%20test\n');
        // What a container sees there.
        writeFileSync(join(directory, 'switchboard.toml'), text.replaceAll('/etc/switchboard', directory));
        const hasKeys = /api_key|passthrough/.test(text);
        const keys = { SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY: 'wbk_sandbox_a', SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY: 'ak_sandbox_a' };
        const checked = spawnSync(binary, ['check', '--config', 'switchboard.toml'], {
          cwd: directory,
          encoding: 'utf8',
          env: {
            SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL: `${sandbox.url}/functions/v1/api-gateway`,
            SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL: sandbox.url,
            ...(hasKeys ? {} : keys),
          },
        });
        // An issuer on the network is not read here: everything else must be right.
        const wrong = checked.stdout.split('\n').filter((line) => / WRONG /.test(line) && !(text.includes('jwks_url') && /^Issuer /.test(line)));
        assert.deepEqual(wrong, [], checked.stdout + checked.stderr);
        assert.ok(checked.status === 0 || (checked.status === 1 && text.includes('jwks_url')), checked.stdout + checked.stderr);
      } finally {
        await sandbox.stop();
        rmSync(directory, { recursive: true });
      }
    });
  }

  test('every command and flag exists', () => {
    const help = (...command) => spawnSync(binary, [...command, '--help'], { encoding: 'utf8' }).stdout;
    const flags = help('demo') + help('sandbox') + help('check') + help('schema') + help('token', 'new') + help('serve');
    for (const page of pages) {
      const text = read(page);
      for (const [, command] of text.matchAll(/(?:`|\/)switchboard (\w+)/g)) assert.ok(help(command), `${page}: ${command}`);
      // The commands of Docker, systemd and Kubernetes have flags of their own.
      const own = text.replaceAll(/^ *(?:docker|sudo|kubectl|helm) (?:.*\\\n)*.*$|`docker [^`]*`|`--profile observe`/gm, '');
      for (const [, , kind, name] of text.matchAll(/cargo (run|bench) --(example|bench) (\w+)/g)) {
        const path = `${kind === 'example' ? 'examples' : 'benches'}/${name}`;
        assert.ok(existsSync(join(root, `${path}.rs`)) || existsSync(join(root, path, 'main.rs')), `${page}: ${name}`);
      }
      for (const [flag] of own.matchAll(/(?<=`|\s)--(?!release|locked|profile|bin|example|bench|path|test)[a-z-]+/g)) {
        assert.ok(flags.includes(flag), `${page}: ${flag}`);
      }
      for (const [, name] of text.matchAll(/--scenario ([a-z][\w-]+)/g)) assert.ok(flags.includes(`- ${name}:`), `${page}: ${name}`);
    }
  });

  test('there are queries with responses, a curl command and configurations', () => {
    assert.ok(of('graphql').filter(expected).length >= 2);
    assert.ok(of('sh').some(({ text }) => text.startsWith('curl ')));
    assert.ok(of('toml').length >= 2);
  });

  test('error codes and settings are the ones that exist', () => {
    const codes = [...read('src/operation/codes.rs').matchAll(/ = "([A-Z_]+)"/g)].map(([, code]) => code);
    const errors = read('docs/errors.md');
    const table = errors.slice(errors.indexOf('| code | when |'), errors.indexOf('Errors of an API name it'));
    for (const code of codes) assert.ok(table.includes(`\`${code}\``), `${code} is missing`);
    for (const [, word] of table.matchAll(/^\| (`.*?) \|/gm)) {
      for (const [, code] of word.matchAll(/`([A-Z_]+)`/g)) assert.ok(codes.includes(code), `${code} does not exist`);
    }
    const defaults = read('switchboard.default.toml');
    const setting = /`((?:http|ops|server|limits|documents|auth|upstream|cache|connections|lists|federation|ids|toolkits|log|traces|health|metrics|redis|webhooks)[a-z.]*)\.(\w+)`/g;
    for (const page of pages) {
      for (const [, section, key] of read(page).matchAll(setting)) {
        // Attributes of spans, which OpenTelemetry names.
        if (/^http\.(request|response|route)/.test(`${section}.${key}`)) continue;
        const of = defaults.split(`[${section}]`)[1]?.split(/^\[/m)[0] ?? '';
        assert.match(of, new RegExp(`^#? ?${key} = `, 'm'), `${page}: ${section}.${key}`);
      }
    }
  });

  test('links lead to files that exist', () => {
    for (const page of linked) {
      for (const [, target] of read(page).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        assert.ok(existsSync(join(root, dirname(page), target)), `${page}: ${target}`);
      }
    }
  });

  test('README has at most 180 lines, and no page has prose wider than 120 characters', () => {
    assert.ok(read('README.md').split('\n').length <= 181);
    for (const page of pages) {
      const prose = read(page).replaceAll(/^```.*?^```$/gms, '').split('\n').filter((line) => !/^ *\|/.test(line));
      for (const line of prose) assert.ok(line.length <= 120, `${page}: ${line}`);
    }
  });
});
