// Schema stitching that configures itself: each service tells by `_sdl` how its types are merged.

import { buildHTTPExecutor } from '@graphql-tools/executor-http';
import { stitchSchemas } from '@graphql-tools/stitch';
import { stitchingDirectives } from '@graphql-tools/stitching-directives';
import { buildSchema } from 'graphql';
import { ask, run } from './demo.mjs';
import { serve, subschema } from './people.mjs';

const { stitchingDirectivesTransformer } = stitchingDirectives();

async function subschemaAt(endpoint) {
  const { data } = await ask(endpoint, '{ _sdl }');
  return { schema: buildSchema(data._sdl), executor: buildHTTPExecutor({ endpoint }), batch: true };
}

export async function start({ switchboard, people, port }) {
  const schema = stitchSchemas({
    subschemas: await Promise.all([switchboard, people].map(subschemaAt)),
    subschemaConfigTransforms: [stitchingDirectivesTransformer],
  });
  return serve({ schema }, port);
}

await run(import.meta, { start, people: () => serve(subschema) });
