// Runs an operation with variables and returns its typed response.
import type { TypedDocumentString } from "./generated/graphql.js";

export interface GraphError {
  message: string;
  path?: (string | number)[];
  extensions: { code: string; paths?: (string | number)[][] };
}

/** The response of an operation. A failed field is null in `data`, and `errors` has the reason. */
export interface Answer<Data> {
  data?: Data | null;
  errors?: GraphError[];
}

/** A function that runs operations at `endpoint`. */
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
