// The collection of example operations, and the tabs of a first visit. Each operation runs unchanged on the sandbox
// (tests/browser runs them all); the ids in variables are the sandbox's. Operations that the served schema does not have are not
// offered.

const json = (variables) => JSON.stringify(variables, null, 2);

/** Comments as one line each, which the editor wraps to its width. */
const flowing = (text) => text.replaceAll(/(?<=^# .*)\n# /gm, " ");

const integrations = `# Integrations with their accounts, one call to each
# API. Ctrl-Enter runs it.
query Integrations {
  providers(first: 20) {
    totalCount
    nodes {
      category
      name
      status
      toolkits {
        slug
      }
      connectedAccounts(first: 3) {
        nodes {
          id
          status
          userId
        }
      }
    }
  }
}
`;

const broken = `# Everything that needs attention, from both APIs.
query Broken {
  providers(filter: { statuses: [NEEDS_REAUTH, DEGRADED] }) {
    nodes {
      name
      displayName
      status
      errorMessage
    }
  }
  connectedAccounts(first: 10, filter: { statuses: [EXPIRED, FAILED] }) {
    totalCount
    nodes {
      connectedAccountId
      status
      statusReason
      userId
      toolkit {
        slug
      }
    }
  }
}
`;

const glance = `# A summary of the workspace. Each count is exact, or
# null if its API fails.
query Health {
  integrationHealth {
    providerCounts {
      status
      count
    }
    accountCounts {
      status
      count
    }
    providersNeedingAttention {
      name
      health {
        reasons {
          code
          message
        }
      }
    }
    accountsNeedingAttention(first: 5) {
      totalCount
      nodes {
        userId
        toolkit {
          slug
        }
        health {
          reasons {
            message
            since
          }
        }
      }
    }
  }
}
`;

const verdicts = `# Health of integrations, and the age of the data.
query Verdicts($states: [HealthState!]) {
  providers(filter: { healthStates: $states }, orderBy: { field: NAME }) {
    freshness {
      fetchedAt
      state
      refreshDueAt
    }
    nodes {
      name
      health {
        state
        needsAttention
        reasons {
          code
          message
          since
        }
      }
    }
  }
}
`;

const contradictions = `# Contradictions between the two APIs. It calls both,
# so it reads only a part of the list.
query Disagreements {
  providers(first: 30) {
    nodes {
      name
      status
      disagreement {
        message
      }
    }
  }
}
`;

const cost = `# What a query costs: "extensions" lists each upstream
# call, and the calls saved by cache and batching. The
# header "x-switchboard-trace" requests it. Run it twice.
query Cost {
  providers(first: 20) {
    nodes {
      name
      newest: connectedAccounts(first: 3) {
        nodes {
          status
        }
      }
      oldest: connectedAccounts(last: 1) {
        statusCounts {
          status
          count
        }
        nodes {
          createdAt
        }
      }
    }
  }
}
`;

const page = `# One page of accounts. For the next page, copy
# "endCursor" into "after" in Variables below. To page
# backward, use only "last" and "before".
query AccountsPage($first: Int, $after: String, $last: Int, $before: String) {
  connectedAccounts(
    first: $first
    after: $after
    last: $last
    before: $before
    orderBy: { field: CREATED_AT, direction: DESC }
  ) {
    totalCount
    isComplete
    pageInfo {
      hasPreviousPage
      startCursor
      hasNextPage
      endCursor
    }
    edges {
      cursor
      node {
        id
        status
        userId
        createdAt
        toolkit {
          slug
        }
      }
    }
  }
}
`;

const back = `# The last page of the list. Copy "startCursor" into
# "before" for the previous page.
query LastPage($last: Int!, $before: String) {
  connectedAccounts(last: $last, before: $before) {
    pageInfo {
      hasPreviousPage
      startCursor
    }
    nodes {
      connectedAccountId
      status
      createdAt
    }
  }
}
`;

const behind = `# The accounts of one integration, page by page.
query AccountsOfAProvider($id: ID!, $after: String) {
  provider(id: $id) {
    name
    displayName
    connectedAccounts(first: 5, after: $after, filter: { statuses: [ACTIVE] }) {
      totalCount
      pageInfo {
        hasNextPage
        endCursor
      }
      nodes {
        userId
        alias
        updatedAt
      }
    }
  }
}
`;

const refetch = `# One object of any type by its id. Use the "id" from
# any earlier response; this one is a toolkit's.
query Refetch($id: ID!) {
  node(id: $id) {
    __typename
    id
    ... on Provider {
      name
      status
      lastSyncAt
      scopes
    }
    ... on ConnectedAccount {
      accountStatus: status
      userId
      toolkit {
        slug
      }
      state {
        authScheme
        expiresAt
        withheld
      }
    }
    ... on Toolkit {
      slug
      providers {
        category
        name
        status
      }
      connectedAccounts(first: 2, filter: { statuses: [ACTIVE] }) {
        totalCount
        nodes {
          id
          userId
        }
      }
    }
  }
}
`;

const byIds = `# Many objects by their ids, in the requested order, and
# null for each missing one: one call to each API.
query ByIds($nodes: [ID!]!, $providers: [ID!]!, $accounts: [ID!]!) {
  nodes(ids: $nodes) {
    __typename
    id
  }
  providersByIds(ids: $providers) {
    name
  }
  connectedAccountsByIds(ids: $accounts) {
    userId
    status
  }
  toolkitsBySlugs(slugs: ["gmail", "slack"]) {
    id
    slug
  }
  usersByIds(ids: ["user_1", "user_2"]) {
    id
  }
}
`;

const account = `# One account with the public part of its connection.
# Secrets are listed by name, without values.
query Account($id: ID!) {
  connectedAccount(id: $id) {
    userId
    alias
    status
    statusReason
    authConfig {
      authScheme
      isComposioManaged
    }
    state {
      scopes
      expiresAt
      settings {
        name
        value
      }
      withheld
    }
    providers {
      category
      name
    }
  }
}
`;

const toolkit = `# A service with its integrations of the workspace and
# the accounts of end users.
query Toolkit($slug: String!) {
  toolkit(slug: $slug) {
    slug
    providers {
      category
      name
      status
    }
    connectedAccounts(first: 3, filter: { accountType: ALL }) {
      totalCount
      nodes {
        userId
        accountType
      }
    }
  }
}
`;

const user = `# One end user's accounts.
query User($id: ID!) {
  user(id: $id) {
    connectedAccounts(first: 10, orderBy: { field: UPDATED_AT }) {
      statusCounts {
        status
        count
      }
      nodes {
        status
        toolkit {
          slug
        }
      }
    }
  }
}
`;

const sources = `# The state of the two APIs. It costs no call.
query Sources {
  viewer {
    name
    role
  }
  upstreams {
    name
    state
    quota {
      limit
      remaining
      resetsAt
    }
    lastSuccessAt
    lastError {
      code
      at
      requestId
    }
    cache {
      entries
      hits
      misses
      staleServed
    }
  }
}
`;

const refresh = `# Refreshes all data if the quota allows it; otherwise
# "retryAt" has the earliest time.
mutation Refresh {
  refresh {
    retryAt
    upstreams {
      name
      state
    }
  }
}
`;

const providerChanges = `# Changes of integrations from now on. It runs until you
# stop it.
subscription ProviderChanges {
  providerChanged {
    kind
    cause
    at
    previousStatus
    provider {
      name
      status
    }
  }
}
`;

const accountChanges = `# Changes of accounts from now on.
subscription AccountChanges {
  connectedAccountChanged {
    kind
    cause
    at
    previousStatus
    connectedAccount {
      userId
      status
      toolkit {
        slug
      }
    }
  }
}
`;

const reconnectAccount = `# Starts a new sign-in of a broken account. Open
# "redirectUrl" to complete it: in the demo, "Allow".
# Actions need the setting actions.enabled = true.
mutation ReconnectAccount($input: ReconnectAccountInput!) {
  reconnectAccount(input: $input) {
    redirectUrl
    expiresAt
    connectedAccount {
      id
      status
    }
    replacedAccount {
      id
      status
    }
    userErrors {
      field
      message
      code
    }
  }
}
`;

const createConnectLink = `# Starts the sign-in of a new account for a user.
# Actions need the setting actions.enabled = true.
mutation CreateConnectLink($input: CreateConnectLinkInput!) {
  createConnectLink(input: $input) {
    redirectUrl
    expiresAt
    connectedAccount {
      id
      status
    }
    userErrors {
      field
      message
      code
    }
  }
}
`;

const setAccountEnabled = `# Pauses an account, or resumes it with true.
# Actions need the setting actions.enabled = true.
mutation SetAccountEnabled($input: SetAccountEnabledInput!) {
  setAccountEnabled(input: $input) {
    connectedAccount {
      id
      status
    }
    userErrors {
      field
      message
      code
    }
  }
}
`;

const renameAccount = `# Names an account; an empty alias removes the name.
# Actions need the setting actions.enabled = true.
mutation RenameAccount($input: RenameAccountInput!) {
  renameAccount(input: $input) {
    connectedAccount {
      id
      alias
    }
    userErrors {
      field
      message
      code
    }
  }
}
`;

const revokeAccount = `# Revokes an account's tokens at the provider. The
# account remains and has to be reconnected.
# Actions need the setting actions.enabled = true.
mutation RevokeAccount($input: RevokeAccountInput!) {
  revokeAccount(input: $input) {
    revokedTokens
    connectedAccount {
      id
      status
    }
    userErrors {
      field
      message
      code
    }
  }
}
`;

const removeAccount = `# Removes an account, and its access at the provider
# unless "revokeAtProvider" is false.
# Actions need the setting actions.enabled = true.
mutation RemoveAccount($input: RemoveAccountInput!) {
  removeAccount(input: $input) {
    removedAccountId
    userErrors {
      field
      message
      code
    }
  }
}
`;

const entities = `# A router's query to this graph as a subgraph, by entity
# keys. The editor underlines it, because fields for
# routers are hidden from introspection.
query Entities($representations: [_Any!]!) {
  _entities(representations: $representations) {
    __typename
    ... on Toolkit {
      slug
      providers {
        name
      }
    }
    ... on Provider {
      name
      status
    }
  }
}
`;

const PROVIDER = "UHJvdmlkZXI6nUk7dkpZ2IWa6BaImYZUhg";
const ACCOUNT = "ca_e32Ijl4JAIJ8";
/** Accounts for the actions: each changes another one, so that all of them run in any order. */
const BROKEN = "ca_uRCFBbjM4Cl7";
const ENABLED = "ca_05rmsHyCaIvI";
const NAMED = "ca_Kl9QeCaq1ic8";
const REVOKED = "ca_wuquzVApVv8P";
const REMOVED = "ca_ONMJKtMZb6E7";
const TOOLKIT = "VG9vbGtpdDpnbWFpbA";

const groups = [
  {
    title: "Both APIs",
    examples: [
      { name: "Integrations with their accounts", query: integrations },
      { name: "What is broken", query: broken },
      { name: "What a query costs", query: cost, headers: json({ "x-switchboard-trace": "true" }) },
    ],
  },
  {
    title: "Health",
    examples: [
      { name: "Summary of the workspace", query: glance },
      { name: "Health and freshness", query: verdicts, variables: json({ states: ["NEEDS_REAUTH", "DEGRADED"] }) },
      { name: "Where the APIs disagree", query: contradictions },
    ],
  },
  {
    title: "Pages",
    examples: [
      { name: "Accounts, forward and backward", query: page, variables: json({ first: 5, after: null }) },
      { name: "Accounts, from the end", query: back, variables: json({ last: 5, before: null }) },
      { name: "Accounts of an integration", query: behind, variables: json({ id: PROVIDER, after: null }) },
    ],
  },
  {
    title: "Single objects",
    examples: [
      { name: "Any object by its id", query: refetch, variables: json({ id: TOOLKIT }) },
      { name: "Many objects by their ids", query: byIds, variables: json({ nodes: [PROVIDER, TOOLKIT], providers: [PROVIDER], accounts: [ACCOUNT] }) },
      { name: "An account and its connection", query: account, variables: json({ id: ACCOUNT }) },
      { name: "A toolkit", query: toolkit, variables: json({ slug: "gmail" }) },
      { name: "An end user", query: user, variables: json({ id: "user_7" }) },
    ],
  },
  {
    title: "Live",
    examples: [
      { name: "Changes of integrations", query: providerChanges },
      { name: "Changes of accounts", query: accountChanges },
    ],
  },
  {
    title: "Actions on accounts",
    examples: [
      { name: "Reconnect an account", query: reconnectAccount, variables: json({ input: { id: BROKEN } }) },
      { name: "Connect a new account", query: createConnectLink, variables: json({ input: { authConfigId: "ac_gmail", userId: "user_7" } }) },
      { name: "Pause or resume an account", query: setAccountEnabled, variables: json({ input: { id: ENABLED, enabled: false } }) },
      { name: "Rename an account", query: renameAccount, variables: json({ input: { id: NAMED, alias: "Team inbox" } }) },
      { name: "Revoke an account", query: revokeAccount, variables: json({ input: { id: REVOKED } }) },
      { name: "Remove an account", query: removeAccount, variables: json({ input: { id: REMOVED, revokeAtProvider: true } }) },
    ],
  },
  {
    title: "Behind the graph",
    examples: [
      { name: "The two APIs, and the viewer", query: sources },
      { name: "Refresh all data", query: refresh },
      {
        name: "Entities, for a router",
        query: entities,
        variables: json({ representations: [{ __typename: "Toolkit", slug: "gmail" }, { __typename: "Provider", id: PROVIDER }] }),
      },
    ],
  },
];

export const collection = groups.map(({ title, examples }) => ({
  title,
  examples: examples.map((example) => ({ ...example, query: flowing(example.query) })),
}));

export const firstTabs = [integrations, broken].map((query) => ({ query: flowing(query) }));
