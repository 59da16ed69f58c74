// Runs README's code blocks unchanged, as readers do.
//
// A `graphql` or `curl` block runs against a new demo. Its response equals the following `json` block, or has no errors if there is
// none. `toml` blocks pass `switchboard check` against a sandbox.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { binary, start, startSandbox } from './support.mjs';

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** Every fenced block: language, text, line, and the next block. */
const blocks = [...readme.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([whole, language, text], place, all) => ({
  language,
  text,
  line: readme.slice(0, all[place].index).split('\n').length,
  next: all[place + 1],
}));
const of = (...languages) => blocks.filter(({ language }) => languages.includes(language));

/** The JSON block right after a block, without the times of a trace. */
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

describe('README', () => {
  for (const block of of('graphql')) {
    test(`the query at line ${block.line} has the documented response`, async () => {
      const body = JSON.stringify({ query: block.text });
      const headers = { 'content-type': 'application/json' };
      answered(block, await onADemo(async (url) => (await fetch(url, { method: 'POST', headers, body })).text()));
    });
  }

  for (const block of of('sh').filter(({ text }) => text.startsWith('curl '))) {
    test(`the curl line at line ${block.line} works`, async () => {
      const own = 'http://127.0.0.1:8080/graphql';
      assert.ok(block.text.includes(own), `its URL is ${own}`);
      const ask = (url) => execFileSync('sh', ['-c', block.text.replace(own, url)], { encoding: 'utf8' });
      answered(block, await onADemo(ask));
    });
  }

  for (const { text, line } of of('toml')) {
    test(`the configuration at line ${line} passes check`, async () => {
      const directory = mkdtempSync(join(tmpdir(), 'switchboard-'));
      const sandbox = await startSandbox();
      try {
        mkdirSync(join(directory, 'secrets'));
        writeFileSync(join(directory, 'secrets/leadlex'), 'wbk_sandbox_a\n');
        writeFileSync(join(directory, 'secrets/composio'), 'ak_sandbox_a\n');
        // Paths as seen inside the container.
        writeFileSync(join(directory, 'switchboard.toml'), text.replaceAll('/etc/switchboard', directory));
        const checked = spawnSync(binary, ['check', '--config', 'switchboard.toml'], {
          cwd: directory,
          encoding: 'utf8',
          env: {
            SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL: `${sandbox.url}/functions/v1/api-gateway`,
            SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL: sandbox.url,
          },
        });
        assert.equal(checked.status, 0, checked.stdout + checked.stderr);
      } finally {
        await sandbox.stop();
        rmSync(directory, { recursive: true });
      }
    });
  }

  test('every command and flag exists', () => {
    const help = (...command) => spawnSync(binary, [...command, '--help'], { encoding: 'utf8' }).stdout;
    for (const [, command] of readme.matchAll(/(?:`|\/)switchboard (\w+)/g)) assert.ok(help(command), command);
    const flags = help('demo') + help('sandbox') + help('check') + help('schema') + help('token', 'new') + help('serve');
    // Lines of Docker are excluded.
    const own = readme.replaceAll(/^docker .*$|`docker [^`]*`|`--profile observe`/gm, '');
    // Cargo commands, and the files that they name.
    const targets = readme.matchAll(/cargo (run|bench) --(example|bench) (\w+)/g);
    const isThere = (path) => existsSync(new URL(`../../${path}`, import.meta.url));
    for (const [, , kind, name] of targets) {
      const path = `${kind === 'example' ? 'examples' : 'benches'}/${name}`;
      assert.ok(isThere(`${path}.rs`) || isThere(`${path}/main.rs`), name);
    }
    for (const [flag] of own.matchAll(/(?<=`|\s)--(?!release|example|bench)[a-z-]+/g)) assert.ok(flags.includes(flag), flag);
    for (const [, name] of readme.matchAll(/--scenario ([\w-]+)/g)) assert.ok(flags.includes(`- ${name}:`), name);
  });

  test('it has queries with responses, a curl line and configurations', () => {
    assert.ok(of('graphql').filter(expected).length >= 2);
    assert.ok(of('sh').some(({ text }) => text.startsWith('curl ')));
    assert.ok(of('toml').length >= 2);
  });

  test('its error codes, reasons and settings exist', () => {
    const source = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
    const codes = [...source('src/operation/codes.rs').matchAll(/=> "([A-Z_]+)"/g)].map(([, code]) => code);
    const codeTable = readme.slice(readme.indexOf('| code | when |'), readme.indexOf('Errors of an API name it'));
    for (const code of codes) assert.ok(codeTable.includes(`\`${code}\``), `${code} is missing`);
    for (const [, word] of codeTable.matchAll(/^\| (`.*?) \|/gm)) {
      for (const [, code] of word.matchAll(/`([A-Z_]+)`/g)) assert.ok(codes.includes(code), `${code} does not exist`);
    }
    const defaults = source('switchboard.default.toml');
    for (const [, section, key] of readme.matchAll(/`((?:http|ops|server|limits|documents|auth|upstream|cache|connections|lists|federation|ids|toolkits|log)[a-z.]*)\.(\w+)`/g)) {
      const of = defaults.split(`[${section}]`)[1]?.split(/^\[/m)[0] ?? '';
      assert.match(of, new RegExp(`^${key} = `, 'm'), `${section}.${key}`);
    }
  });
});
