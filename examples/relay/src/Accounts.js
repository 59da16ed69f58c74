// The queries of this program. relay-compiler reads the tags below and writes __generated__/; this file is never executed. With a
// bundler the tags are in the components, and babel-plugin-relay (or SWC's) replaces them by the artifacts.
import { graphql } from "relay-runtime";

// A list of accounts: a page of it from either end.
graphql`
  query AccountsQuery($slug: String!, $first: Int, $last: Int) {
    toolkit(slug: $slug) {
      ...Accounts_toolkit @arguments(first: $first, last: $last)
    }
  }
`;

// Toolkit is a Node, so Relay generates the query for further pages through `node(id:)`.
graphql`
  fragment Accounts_toolkit on Toolkit
  @refetchable(queryName: "AccountsPageQuery")
  @argumentDefinitions(
    first: { type: "Int" }
    after: { type: "String" }
    last: { type: "Int" }
    before: { type: "String" }
  ) {
    connectedAccounts(first: $first, after: $after, last: $last, before: $before)
      @connection(key: "Accounts_connectedAccounts") {
      edges {
        node {
          id
          ...Accounts_account
        }
      }
    }
  }
`;

// One account, which can be refetched alone.
graphql`
  fragment Accounts_account on ConnectedAccount @refetchable(queryName: "AccountsAccountQuery") {
    connectedAccountId
    status
  }
`;

// Both APIs in one response. @catch gives the error of a field to the component that shows the field.
graphql`
  query AccountsOverviewQuery {
    providers(first: 3) {
      nodes {
        id
        name
        status
        connectedAccounts(first: 1) @catch(to: RESULT) {
          nodes {
            id
            status
          }
        }
      }
    }
  }
`;
