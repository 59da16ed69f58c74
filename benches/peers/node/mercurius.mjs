// Mercurius with its loaders, mercurius-cache and JIT.
import Fastify from 'fastify'
import mercurius from 'mercurius'
import cache from 'mercurius-cache'
import { cacheSeconds, fetchAccounts, fetchAccountsOfMany, fetchProviders, port, schema } from './job.mjs'

const app = Fastify()

app.register(mercurius, {
  schema,
  resolvers: {
    Query: {
      providers: (_, { first }) => fetchProviders(first),
      connectedAccounts: (_, args) => fetchAccounts(args),
    },
  },
  loaders: {
    Provider: {
      connectedAccounts: (queries) =>
        fetchAccountsOfMany(queries.map(({ obj, params }) => ({ toolkits: obj.toolkits, first: params.first }))),
    },
  },
  jit: 1,
})

// One caller's values are not another's: what tells callers apart is part of every key.
const caller = (ctx) => ctx.reply.request.headers.authorization ?? ''

app.register(cache, {
  ttl: cacheSeconds,
  policy: {
    Query: {
      providers: { extendKey: (_, __, ctx) => caller(ctx) },
      connectedAccounts: { extendKey: (_, __, ctx) => caller(ctx) },
    },
    Provider: {
      // A key of one's own, as its documentation advises for speed: the default is the whole parent as JSON.
      connectedAccounts: { key: ({ self, arg, ctx }) => `${caller(ctx)} ${self.toolkits} ${arg.first}` },
    },
  },
})

await app.listen({ port, host: '127.0.0.1' })
