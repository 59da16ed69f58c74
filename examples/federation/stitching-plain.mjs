// Schema stitching by hand: merged types, their key fields and their root fields.

import { buildHTTPExecutor } from '@graphql-tools/executor-http';
import { stitchSchemas } from '@graphql-tools/stitch';
import { schemaFromExecutor } from '@graphql-tools/wrap';
import { ownCredentials } from './caller.mjs';
import { run } from './demo.mjs';
import { serve, subschema } from './people.mjs';

/** A type is merged by a key field and a root field that accepts many keys. */
const by = (fieldName, field = 'id', argument = 'ids') => ({
  fieldName, selectionSet: `{ ${field} }`, key: (it) => it[field], argsFromKeys: (keys) => ({ [argument]: keys }),
});
const merge = {
  Provider: by('providersByIds'),
  ConnectedAccount: by('connectedAccountsByIds'),
  Toolkit: by('toolkitsBySlugs', 'slug', 'slugs'),
  User: by('usersByIds'),
};
const subschemaOf = async (executor, merge, reader) => ({
  schema: await schemaFromExecutor(executor, reader), executor, batch: true, merge,
});

/** Forwards the caller's credentials. */
const at = (endpoint) => buildHTTPExecutor({ endpoint, headers: (request) => request?.context?.headers });

export async function start({ switchboard, people, port }) {
  const schema = stitchSchemas({
    subschemas: [
      await subschemaOf(at(switchboard), merge, { headers: ownCredentials() }),
      await subschemaOf(at(people), {
        User: by('peopleByIds'),
        ConnectedAccount: by('notesByIds'),
      }),
    ],
  });
  return serve({ schema }, port);
}

await run(import.meta, { start, people: () => serve(subschema) });
