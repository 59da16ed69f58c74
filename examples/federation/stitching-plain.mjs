// Schema stitching by hand: what is merged, by which field, and by which root.

import { buildHTTPExecutor } from '@graphql-tools/executor-http';
import { stitchSchemas } from '@graphql-tools/stitch';
import { schemaFromExecutor } from '@graphql-tools/wrap';
import { run } from './demo.mjs';
import { serve, subschema } from './people.mjs';

/** A type is merged by a field of it and by a root that takes many of those. */
const by = (fieldName, field = 'id', argument = 'ids') => ({
  fieldName, selectionSet: `{ ${field} }`, key: (it) => it[field], argsFromKeys: (keys) => ({ [argument]: keys }),
});
const merge = {
  Provider: by('providersByIds'),
  ConnectedAccount: by('connectedAccountsByIds'),
  Toolkit: by('toolkitsBySlugs', 'slug', 'slugs'),
  User: by('usersByIds'),
};
const subschemaOf = async (executor, merge) => ({ schema: await schemaFromExecutor(executor), executor, batch: true, merge });

export async function start({ switchboard, people, port }) {
  const schema = stitchSchemas({
    subschemas: [
      await subschemaOf(buildHTTPExecutor({ endpoint: switchboard }), merge),
      await subschemaOf(buildHTTPExecutor({ endpoint: people }), {
        User: by('peopleByIds'),
        ConnectedAccount: by('notesByIds'),
      }),
    ],
  });
  return serve({ schema }, port);
}

await run(import.meta, { start, people: () => serve(subschema) });
