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

// Callers must not share values, so the caller's identity is part of every key.
const caller = (ctx) => ctx.reply.request.headers.authorization ?? ''

app.register(cache, {
  ttl: cacheSeconds,
  policy: {
    Query: {
      providers: { extendKey: (_, __, ctx) => caller(ctx) },
      connectedAccounts: { extendKey: (_, __, ctx) => caller(ctx) },
    },
    Provider: {
      // A custom key, as its documentation recommends for speed: the default is the complete parent as JSON.
      connectedAccounts: { key: ({ self, arg, ctx }) => `${caller(ctx)} ${self.toolkits} ${arg.first}` },
    },
  },
})

await app.listen({ port, host: '127.0.0.1' })
