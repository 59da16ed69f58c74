// The operations of reconnect.mjs. relay-compiler reads the tags; this file is never executed.
import { graphql } from "relay-runtime";

graphql`
  mutation ReconnectMutation($input: ReconnectAccountInput!) {
    reconnectAccount(input: $input) {
      redirectUrl
      connectedAccount {
        id
        connectedAccountId
        status
      }
      userErrors {
        code
        message
      }
    }
  }
`;

graphql`
  mutation ReconnectRefreshMutation {
    refresh(upstream: COMPOSIO) {
      retryAt
    }
  }
`;

graphql`
  query ReconnectAccountQuery($id: ID!) {
    connectedAccount(id: $id) {
      connectedAccountId
      status
    }
  }
`;

// The removed account disappears from every list that the store has.
graphql`
  mutation ReconnectRemoveMutation($input: RemoveAccountInput!) {
    removeAccount(input: $input) {
      removedAccountId @deleteRecord
      userErrors {
        code
        message
      }
    }
  }
`;
