// Both REST APIs as subgraphs of one supergraph: `mesh-compose` makes it of their OpenAPI files.
import { fileURLToPath } from 'node:url'
import { defineConfig } from '@graphql-mesh/compose-cli'
import { loadOpenAPISubgraph } from '@omnigraph/openapi'

const file = (name) => fileURLToPath(new URL(name, import.meta.url))

export const composeConfig = defineConfig({
  subgraphs: [
    {
      sourceHandler: loadOpenAPISubgraph('Leadlex', {
        source: file('leadlex.yaml'),
        endpoint: '{env.LEADLEX_URL}',
        operationHeaders: { authorization: 'Bearer {env.LEADLEX_KEY}' },
      }),
    },
    {
      sourceHandler: loadOpenAPISubgraph('Composio', {
        source: file('composio.yaml'),
        endpoint: '{env.COMPOSIO_URL}',
        operationHeaders: { 'x-api-key': '{env.COMPOSIO_KEY}' },
      }),
    },
  ],
})
