// Finds breaking changes of the schema that the changelog does not name: `make schema-diff`.
//
//   node schema-diff.mjs [OLD.graphql NEW.graphql CHANGELOG.md]
//
// The old schema is schema.released.graphql, a committed copy, because a shallow checkout has no tags. Only a release writes it, so
// it is the schema that clients use now. @graphql-inspector/core finds the changes: findBreakingChanges of graphql-js returns
// sentences instead of coordinates.

import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { CriticalityLevel, diff } from '@graphql-inspector/core';
import { buildSchema } from 'graphql';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The breaking changes from `old` to `now`: coordinate (`Provider.status`, `Query.providers.first`) and message. */
export async function breaking(old, now) {
  const changes = await diff(buildSchema(old), buildSchema(now));
  return changes
    .filter(({ criticality }) => criticality.level === CriticalityLevel.Breaking)
    .map(({ path, message }) => ({ path, message }));
}

/** The coordinates in backticks under `### Breaking` in the changelog's `## [Unreleased]`. */
export function named(changelog) {
  const section = (text, level, title) => text.split(new RegExp(`^${level} `, 'm')).find((part) => part.startsWith(title)) ?? '';
  const words = section(section(changelog, '##', '[Unreleased]'), '###', 'Breaking');
  return [...words.matchAll(/`([^`\s]+)`/g)].map(([, coordinate]) => coordinate);
}

/** The breaking changes that the changelog does not name. A named coordinate covers everything inside it. */
export async function unnamed(old, now, changelog) {
  const coordinates = named(changelog);
  const isNamed = ({ path }) => coordinates.some((coordinate) => path === coordinate || path.startsWith(`${coordinate}.`));
  return (await breaking(old, now)).filter((change) => !isNamed(change));
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const given = process.argv.slice(2);
  const paths = given.length ? given : [here('schema.released.graphql'), here('../../schema.graphql'), here('../../CHANGELOG.md')];
  const [old, now, changelog] = paths.map((path) => readFileSync(path, 'utf8'));
  const changes = await unnamed(old, now, changelog);
  for (const { path, message } of changes) console.error(`${path}: ${message}`);
  if (changes.length) {
    console.error('Breaking changes for clients of the last release. List each coordinate under "### Breaking" of Unreleased in CHANGELOG.md, or revert the change.');
    process.exit(1);
  }
  const all = await breaking(old, now);
  console.log(all.length ? `${all.length} breaking changes, all named in the changelog` : 'no breaking change');
}
