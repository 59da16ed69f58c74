// The tabs that a new visitor finds. Every operation must run as it stands on the sandbox (tests/browser runs them all).

const overview = `# Switchboard: two APIs as one graph. LeadLex has
# the integrations (providers), Composio has the
# accounts of end users (connectedAccounts). Calls
# are joined and cached. Where one API fails, its
# fields are null and the rest still comes.
#
# Put the cursor into a query, press Ctrl-Enter
# (Mac: Cmd-Enter), or press ▶ and choose one. The
# book at the left opens the docs. In passthrough
# mode, your keys go into Headers, below:
# {"Authorization": "Bearer …", "x-api-key": "…"}

# All integrations and the newest accounts behind
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

# What somebody has to look at, in both APIs.
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

const json = (variables) => JSON.stringify(variables, null, 2);

export const examples = [
  { query: overview },
  { query: cost, headers: json({ "x-switchboard-trace": "true" }) },
  { query: page, variables: json({ first: 5, after: null }) },
  { query: refetch, variables: json({ id: "VG9vbGtpdDpnbWFpbA" }) },
];
