// An operation and its variables in, its typed answer out.
import type { TypedDocumentString } from "./generated/graphql.js";

export interface GraphError {
  message: string;
  path?: (string | number)[];
  extensions: { code: string; paths?: (string | number)[][] };
}

/** What an operation may answer: where something failed, its place in `data` is null and `errors` says why. */
export interface Answer<Data> {
  data?: Data | null;
  errors?: GraphError[];
}

/** A function that asks the graph at `endpoint`. */
export const asking =
  (endpoint: string) =>
  async <Data, Variables>(query: TypedDocumentString<Data, Variables>, variables: Variables): Promise<Answer<Data>> => {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/graphql-response+json" },
      body: JSON.stringify({ query, variables }),
    });
    return (await response.json()) as Answer<Data>;
  };
