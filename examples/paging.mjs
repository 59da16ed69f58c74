// A list of accounts, paged forward to its end and backward, with plain `fetch`:
//
//   cargo run --release -- demo
//   node examples/paging.mjs http://127.0.0.1:8080/graphql
//
// A cursor belongs to its list: do not change filter or order while paging.
const endpoint = process.argv[2] ?? "http://127.0.0.1:8080/graphql";

const query = `
  query Accounts($first: Int, $after: String, $last: Int, $before: String) {
    connectedAccounts(first: $first, after: $after, last: $last, before: $before, filter: { toolkits: ["gmail", "slack"] }) {
      totalCount
      isComplete
      pageInfo { hasNextPage endCursor hasPreviousPage startCursor }
      nodes { id }
    }
  }`;

async function page(variables) {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/graphql-response+json" },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  // A response can have both: a failed field is null in `data`, and `errors` has the reason.
  for (const error of errors ?? []) console.error(`${error.extensions.code}: ${error.message}`);
  if (!data?.connectedAccounts) process.exit(1);
  return data.connectedAccounts;
}

const forward = [];
let after = null;
for (let more = true; more; ) {
  const { nodes, pageInfo } = await page({ first: 7, after });
  forward.push(...nodes.map(({ id }) => id));
  ({ hasNextPage: more, endCursor: after } = pageInfo);
}

const backward = [];
let before = null;
for (let more = true; more; ) {
  const { nodes, pageInfo } = await page({ last: 7, before });
  backward.unshift(...nodes.map(({ id }) => id));
  ({ hasPreviousPage: more, startCursor: before } = pageInfo);
}

const { totalCount } = await page({ first: 0 });
console.log(`${forward.length} forward, ${backward.length} backward, ${totalCount} in all`);
console.log(forward.join() === backward.join() ? "the same list both ways" : "the lists differ");
