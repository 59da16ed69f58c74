// The collection of example operations, and the tab that a new visitor finds. Every operation must run as it stands on the
// sandbox (tests/browser runs them all); the ids in variables are the sandbox's. Those of other graphs, as the federated
// one, are offered where they are valid.

const json = (variables) => JSON.stringify(variables, null, 2);

/** Comments as one line each, which the editor wraps to its width. */
const flowing = (text) => text.replaceAll(/(?<=^# .*)\n# /gm, " ");

const introduction = `# Switchboard: two APIs as one graph. LeadLex has the integrations (providers),
# Composio the accounts of end users (connectedAccounts). Calls are joined and cached.
# Where one API fails, its fields are null and the rest still comes.
#
# Ctrl-Enter (Mac: Cmd-Enter) runs the query at the cursor, ▶ asks which. At the left are
# the docs and more examples. In passthrough mode, your keys go into Headers, below:
# {"Authorization": "Bearer …", "x-api-key": "…"}

`;

const integrations = `# All integrations and the newest accounts behind
# them: one call to each API, not one for each.
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

const broken = `# What somebody has to look at, in both APIs.
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

const glance = `# The workspace at a glance. Each count is exact, or
# null where its API cannot be read.
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

const verdicts = `# Verdicts on integrations, and how old the data is.
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

const contradictions = `# Where the two APIs say opposite things. It asks both,
# so for a part of the list.
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

const cost = `# What a query costs: the answer's "extensions" list
# each upstream call with its time, and the calls that
# the cache and batching saved. Run it twice. It is
# switched on by "x-switchboard-trace" in Headers,
# which this page sends as the request's extension
# {"switchboard": {"trace": true}}.
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

const page = `# One page of accounts. For the next one, copy
# "endCursor" into "after", in Variables below; to go
# back, give "last" and "before" and not the others.
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

const back = `# The last page, oldest first where the list is newest
# first. "startCursor" goes into "before" for the page
# before it.
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

const behind = `# The accounts behind one integration, page after page.
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

const refetch = `# One object by its id, whatever it is. The "id" of
# any earlier answer will do; here a toolkit's.
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

const byIds = `# Many objects by their ids, in the order asked and null
# where one is missing: one call to each API.
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

const account = `# One account, with what may be shown of its connection:
# secrets are named, not told.
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

const toolkit = `# What stands behind a service: its integrations of the
# workspace, and the accounts of end users.
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

const sources = `# What is known of the two APIs. It costs no call.
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

const refresh = `# Has everything read again before it is shown, where the
# quota allows it; else "retryAt" says when it will.
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

const providerChanges = `# Integrations that change from now on. It runs until you
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

const accountChanges = `# Accounts that change from now on.
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

const entities = `# What a router asks of this graph as a part of a larger
# one, by the keys of its entities. The editor underlines it:
# roots that are for routers alone are not introspected.
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
      { name: "The workspace at a glance", query: glance },
      { name: "Verdicts and freshness", query: verdicts, variables: json({ states: ["NEEDS_REAUTH", "DEGRADED"] }) },
      { name: "Where the APIs disagree", query: contradictions },
    ],
  },
  {
    title: "Pages",
    examples: [
      { name: "Accounts, forward and back", query: page, variables: json({ first: 5, after: null }) },
      { name: "Accounts, from the end", query: back, variables: json({ last: 5, before: null }) },
      { name: "Accounts behind an integration", query: behind, variables: json({ id: PROVIDER, after: null }) },
    ],
  },
  {
    title: "One thing",
    examples: [
      { name: "Anything by its id", query: refetch, variables: json({ id: TOOLKIT }) },
      { name: "Many by their ids", query: byIds, variables: json({ nodes: [PROVIDER, TOOLKIT], providers: [PROVIDER], accounts: [ACCOUNT] }) },
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
    title: "Behind the graph",
    examples: [
      { name: "The two APIs, and who asks", query: sources },
      { name: "Read everything again", query: refresh },
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

export const firstTab = { query: flowing(`${introduction}${integrations}\n${broken}`) };
