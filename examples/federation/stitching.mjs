// Schema stitching with automatic configuration: the directives in each service's `_sdl` define how types are merged.

import { buildHTTPExecutor } from '@graphql-tools/executor-http';
import { stitchSchemas } from '@graphql-tools/stitch';
import { stitchingDirectives } from '@graphql-tools/stitching-directives';
import { buildSchema } from 'graphql';
import { ownCredentials } from './caller.mjs';
import { run, schemaOf } from './demo.mjs';
import { serve, subschema } from './people.mjs';

const { stitchingDirectivesTransformer } = stitchingDirectives();

async function subschemaAt(name, endpoint, reader) {
  const { _sdl } = await schemaOf(name, endpoint, '{ _sdl }', reader);
  const executor = buildHTTPExecutor({ endpoint, headers: (request) => request?.context?.headers });
  return { schema: buildSchema(_sdl), executor, batch: true };
}

export async function start({ switchboard, people, port }) {
  const schema = stitchSchemas({
    subschemas: await Promise.all([subschemaAt('switchboard', switchboard, ownCredentials()), subschemaAt('people', people)]),
    subschemaConfigTransforms: [stitchingDirectivesTransformer],
  });
  return serve({ schema }, port);
}

await run(import.meta, { start, people: () => serve(subschema) });
