// graphql-yoga with its response cache, and a DataLoader per request.
import { createServer } from 'node:http'
import { useResponseCache } from '@graphql-yoga/plugin-response-cache'
import DataLoader from 'dataloader'
import { createSchema, createYoga } from 'graphql-yoga'
import { cacheSeconds, fetchAccounts, fetchAccountsOfMany, fetchProviders, port, schema } from './job.mjs'

const yoga = createYoga({
  schema: createSchema({
    typeDefs: schema,
    resolvers: {
      Query: {
        providers: (_, { first }) => fetchProviders(first),
        connectedAccounts: (_, args) => fetchAccounts(args),
      },
      Provider: {
        connectedAccounts: ({ toolkits }, { first }, { accounts }) => accounts.load({ toolkits, first }),
      },
    },
  }),
  context: () => ({
    accounts: new DataLoader(fetchAccountsOfMany, { cacheKeyFn: ({ toolkits, first }) => `${toolkits} ${first}` }),
  }),
  plugins: [
    useResponseCache({
      session: (request) => request.headers.get('authorization'),
      ttl: cacheSeconds * 1000,
    }),
  ],
  graphiql: false,
  logging: 'error',
})

createServer(yoga).listen(port, '127.0.0.1')
