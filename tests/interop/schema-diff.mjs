// Breaking changes of the schema, and whether the changelog names them: `make schema-diff`.
//
//   node schema-diff.mjs [OLD.graphql NEW.graphql CHANGELOG.md]
//
// The old schema is schema.released.graphql, a committed copy, as a shallow checkout has no tags to look at; only
// a release writes it, so that what clients have now is what is compared. What breaks is
// @graphql-inspector/core's judgement: graphql-js's own findBreakingChanges tells sentences, not coordinates to look for.

import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { CriticalityLevel, diff } from '@graphql-inspector/core';
import { buildSchema } from 'graphql';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** What clients lose from `old` to `now`: the coordinate (`Provider.status`, `Query.providers.first`) and what is told of it. */
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

/** The breaking changes that the changelog does not name; one that it names stands for all within it. */
export async function unnamed(old, now, changelog) {
  const told = named(changelog);
  const isTold = ({ path }) => told.some((coordinate) => path === coordinate || path.startsWith(`${coordinate}.`));
  return (await breaking(old, now)).filter((change) => !isTold(change));
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const given = process.argv.slice(2);
  const paths = given.length ? given : [here('schema.released.graphql'), here('../../schema.graphql'), here('../../CHANGELOG.md')];
  const [old, now, changelog] = paths.map((path) => readFileSync(path, 'utf8'));
  const changes = await unnamed(old, now, changelog);
  for (const { path, message } of changes) console.error(`${path}: ${message}`);
  if (changes.length) {
    console.error('Clients of the last release break: name each coordinate under "### Breaking" of CHANGELOG.md\'s Unreleased, or take the change back.');
    process.exit(1);
  }
  const all = await breaking(old, now);
  console.log(all.length ? `${all.length} breaking changes, all named in the changelog` : 'no breaking change');
}
