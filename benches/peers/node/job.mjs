// The common part of every Node peer: settings, the two upstream calls, and the values of the schema.
//
// The accounts of many providers are read in batches, as every guide to batching recommends. An upstream page has 100 rows, so 20
// providers with 10 accounts each are two concurrent calls. A batch function cannot know more: the distribution of rows over
// toolkits is unknown to it.
import { readFileSync } from 'node:fs'

const setting = (name) => {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set; benches/peers/run sets it`)
  return value
}

export const port = Number(setting('PORT'))
export const cacheSeconds = Number(setting('CACHE_SECONDS'))
export const leadlexUrl = setting('LEADLEX_URL')
export const composioUrl = setting('COMPOSIO_URL')
export const leadlexHeaders = { authorization: `Bearer ${setting('LEADLEX_KEY')}` }
export const composioHeaders = { 'x-api-key': setting('COMPOSIO_KEY') }
export const schema = readFileSync(new URL('schema.graphql', import.meta.url), 'utf8')

// Keyed by `category/name`.
const toolkits = JSON.parse(readFileSync(setting('TOOLKITS'), 'utf8'))

// Rows of one upstream page.
const PAGE = 100

const known = (name) => new Set(schema.match(new RegExp(`enum ${name} \\{([^}]*)\\}`))[1].trim().split(/\s+/))
const categories = known('ProviderCategory')
const providerStatuses = known('ProviderStatus')
const accountStatuses = known('ConnectedAccountStatus')
const word = (words, text, otherwise) => (words.has(text) ? text : otherwise)

// Maps a LeadLex row to the schema. A scope is a string or an object that names one.
export const provider = (row) => ({
  category: word(categories, row.category.toUpperCase(), 'OTHER'),
  name: row.name,
  status: word(providerStatuses, row.status.toUpperCase(), 'UNKNOWN'),
  scopes: (row.scopes ?? []).map((scope) => scope.scope ?? scope.name ?? scope).filter((scope) => typeof scope === 'string'),
  toolkits: toolkits[`${row.category}/${row.name}`] ?? [],
})

// Maps a Composio row to the schema.
export const account = (row) => ({
  connectedAccountId: row.id,
  userId: row.user_id,
  status: word(accountStatuses, row.status, 'UNKNOWN'),
  toolkit: row.toolkit,
  authConfig: { id: row.auth_config.id, authScheme: row.auth_config.auth_scheme },
  createdAt: row.created_at,
})

// The maximum number of keys, each with `first` accounts, for one page.
export const keysPerPage = (first) => Math.max(1, Math.floor(PAGE / Math.max(1, first)))

// The query string of one call for these keys, `{ toolkits, first }`.
export const pageOf = (keys) => ({
  toolkit_slugs: [...new Set(keys.flatMap((key) => key.toolkits))].join(','),
  limit: Math.min(PAGE, keys.reduce((sum, key) => sum + key.first, 0)),
})

// Distributes a page's rows to their keys.
export const share = (rows, keys) => {
  const byToolkit = new Map()
  for (const row of rows) {
    const own = byToolkit.get(row.toolkit.slug)
    if (own) own.push(row)
    else byToolkit.set(row.toolkit.slug, [row])
  }
  return keys.map(({ toolkits, first }) => {
    const lists = toolkits.map((slug) => byToolkit.get(slug)).filter(Boolean)
    // With several toolkits only a scan keeps the order.
    const own = lists.length > 1 ? rows.filter((row) => toolkits.includes(row.toolkit.slug)) : (lists[0] ?? [])
    return { nodes: own.slice(0, first).map(account) }
  })
}

const get = async (url, headers) => {
  const answer = await fetch(url, { headers })
  if (!answer.ok) throw new Error(`an upstream answered ${answer.status}`)
  return answer.json()
}

export const fetchProviders = async (first) => {
  const { data } = await get(`${leadlexUrl}/v1/settings/providers`, leadlexHeaders)
  return { nodes: data.providers.slice(0, first).map(provider) }
}

const fetchPage = async (query) => (await get(`${composioUrl}/api/v3/connected_accounts?${new URLSearchParams(query)}`, composioHeaders)).items

export const fetchAccounts = async ({ first, filter }) => {
  const users = filter?.userIds
  const rows = await fetchPage({ limit: Math.min(PAGE, first), ...(users && { user_ids: users.join(',') }) })
  return { nodes: rows.map(account) }
}

// The batch function: the accounts of many keys.
export const fetchAccountsOfMany = async (keys) => {
  const size = keysPerPage(Math.max(...keys.map((key) => key.first)))
  const groups = []
  for (let at = 0; at < keys.length; at += size) groups.push(keys.slice(at, at + size))
  const shared = await Promise.all(groups.map(async (group) => share(await fetchPage(pageOf(group)), group)))
  return shared.flat()
}
