// Relay's network function: POST, and responses with both data and errors.
import relay from "relay-runtime";

/** Relay's network layer over the graph at `endpoint`. */
export const network = (endpoint) =>
  relay.Network.create(async ({ text, name }, variables) => {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/graphql-response+json" },
      body: JSON.stringify({ query: text, operationName: name, variables }),
    });
    const answer = await response.json();
    for (const { message, extensions } of answer.errors ?? []) console.log(`${extensions.code}: ${message}`);
    return { ...answer, errors: answer.errors?.flatMap(everyPlace) };
  });

/** Switchboard reports one error per failure, with all paths in `extensions.paths`. @catch needs an error at each path. */
const everyPlace = (error) => (error.extensions.paths ?? [error.path]).map((path) => ({ ...error, path }));
