// The virtual environment of the Python tools, created if it is missing.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The directory of its programs, with exactly the packages of requirements.txt. */
export function programs() {
  // Test files run concurrently: the second one waits for the first.
  const install = [here('.venv.lock'), process.execPath, here('python.mjs'), 'install'];
  if (!isThere()) execFileSync('flock', install, { stdio: 'inherit' });
  return here('.venv/bin');
}

function isThere() {
  const installed = here('.venv/installed.txt');
  return existsSync(installed) && readFileSync(installed, 'utf8') === wanted();
}

function wanted() {
  return readFileSync(here('requirements.txt'), 'utf8');
}

if (process.argv[2] === 'install' && !isThere()) {
  process.stderr.write('installing tests/interop/requirements.txt into tests/interop/.venv\n');
  execFileSync(process.env.PYTHON ?? 'python3', ['-m', 'venv', '--clear', here('.venv')]);
  execFileSync(here('.venv/bin/python'), ['-m', 'pip', 'install', '--quiet', '-r', here('requirements.txt')], {
    stdio: 'inherit',
  });
  writeFileSync(here('.venv/installed.txt'), wanted());
}
