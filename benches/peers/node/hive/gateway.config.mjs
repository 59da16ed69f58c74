// Hive Gateway over the supergraph of both REST APIs, with response caching. Additional type definitions and resolvers give the
// schema its shape and call the subgraphs in batches through the in-context SDK.
import { defineConfig } from '@graphql-hive/gateway'
import { account, cacheSeconds, keysPerPage, pageOf, port, provider, schema, share } from '../job.mjs'

const providerFields = '{ data { providers { category name status scopes } } }'
const accountFields = '{ items { id status user_id created_at toolkit { slug } auth_config { id auth_scheme } } }'

export const gatewayConfig = defineConfig({
  host: '127.0.0.1',
  port,
  // The subgraphs' own root fields remain available.
  additionalTypeDefs: schema.replace('type Query', 'extend type Query'),
  additionalResolvers: {
    Query: {
      providers: {
        resolve: async (root, { first }, context, info) => {
          const { data } = await context.Leadlex.Query.listProviders({ root, context, info, selectionSet: providerFields })
          return { nodes: data.providers.slice(0, first).map(provider) }
        },
      },
      connectedAccounts: {
        resolve: async (root, { first, filter }, context, info) => {
          const users = filter?.userIds
          const args = { limit: first, ...(users && { user_ids: users.join(',') }) }
          const page = await context.Composio.Query.listConnectedAccounts({ root, args, context, info, selectionSet: accountFields })
          return { nodes: page.items.map(account) }
        },
      },
    },
    Provider: {
      connectedAccounts: {
        resolve: ({ toolkits }, { first }, context, info) =>
          context.Composio.Query.listConnectedAccounts({
            context,
            info,
            key: { toolkits, first },
            argsFromKeys: pageOf,
            selectionSet: accountFields,
            valuesFromResults: (page, keys) => share(page.items, keys),
            dataLoaderOptions: { maxBatchSize: keysPerPage(first) },
          }),
      },
    },
  },
  cache: { type: 'localforage' },
  responseCaching: {
    session: (request) => request.headers.get('authorization'),
    ttl: cacheSeconds * 1000,
  },
  graphiql: false,
  landingPage: false,
  logging: 'error',
})
