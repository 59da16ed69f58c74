// The mutations that change accounts, as a hook. What the user can correct (`userErrors`) and all other failures are one text for the
// row of the account.
import { createContext, useContext, useState } from "react";
import { commitMutation, graphql, useRelayEnvironment } from "react-relay";

/**
 * What actions need of the page: `reload` refetches it, `refresh` also has Composio's data fetched again if the viewer may, `mine`
 * says that all accounts are the viewer's own, and `actions` lists what the viewer may do.
 */
export const Page = createContext({ reload: async () => {}, refresh: async () => {}, mine: false, actions: [] });

export const MUTATIONS = {
  reconnectAccount: graphql`
    mutation actionsReconnectMutation($input: ReconnectAccountInput!) {
      reconnectAccount(input: $input) {
        redirectUrl
        expiresAt
        connectedAccount {
          id
          status
        }
        userErrors {
          code
          message
        }
      }
    }
  `,
  setAccountEnabled: graphql`
    mutation actionsEnableMutation($input: SetAccountEnabledInput!) {
      setAccountEnabled(input: $input) {
        connectedAccount {
          id
          status
          statusReason
          health {
            state
            reasons {
              code
              message
              since
            }
          }
        }
        userErrors {
          code
          message
        }
      }
    }
  `,
  renameAccount: graphql`
    mutation actionsRenameMutation($input: RenameAccountInput!) {
      renameAccount(input: $input) {
        connectedAccount {
          id
          alias
        }
        userErrors {
          code
          message
        }
      }
    }
  `,
  removeAccount: graphql`
    mutation actionsRemoveMutation($input: RemoveAccountInput!) {
      removeAccount(input: $input) {
        removedAccountId
        userErrors {
          code
          message
        }
      }
    }
  `,
};

/**
 * Returns `{ run, busy, error }`. `run(name, input)` resolves with the payload, or with null and sets `error`. `optimisticUpdater`
 * changes the store until the response arrives; a failure undoes it.
 */
export function useActions() {
  const environment = useRelayEnvironment();
  const { reload } = useContext(Page);
  const [busy, setBusy] = useState(null);
  const [error, setError] = useState(null);

  const send = (name, input, optimisticUpdater) =>
    new Promise((resolve) =>
      commitMutation(environment, {
        mutation: MUTATIONS[name],
        variables: { input },
        optimisticUpdater,
        onCompleted: (data, errors) => resolve(outcome(data?.[name], errors?.[0])),
        onError: (error) => resolve(outcome(null, error)),
      }),
    );

  const run = async (name, input, optimisticUpdater) => {
    setBusy(name);
    setError(null);
    let { payload, problem } = await send(name, input, optimisticUpdater);
    // The sign-in then ends on Composio's own page.
    if (problem?.code === "CALLBACK_URL_NOT_ALLOWED") ({ payload, problem } = await send(name, { ...input, callbackUrl: null }));
    setBusy(null);
    setError(problem);
    // Also after a failure: the write may have taken effect.
    reload();
    return problem ? null : payload;
  };

  return { run, busy, error };
}

function outcome(payload, error) {
  const problem = payload ? payload.userErrors[0] : (error ?? { message: "The graph returned no result." });
  return { payload, problem: problem ?? null };
}
