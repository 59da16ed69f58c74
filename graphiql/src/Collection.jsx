// The panel of example operations. It offers only operations that are valid for the served schema.
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { Kind, extendSchema, parse, validate } from "graphql";
import { useMemo } from "react";
import { collection } from "./examples.js";

/** The same width as in style.css. */
export const narrow = matchMedia("(max-width: 700px)");

function isOffered(schema, { query }) {
  const document = parse(query);
  // `validate` accepts operations of a type that the schema does not have.
  const roots = document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  return roots.every(({ operation }) => schema.getRootType(operation)) && validate(schema, document).length === 0;
}

/** Fields for gateways. They are hidden from introspection, so that no gateway copies them into its own graph. */
const GATEWAYS = parse(`
  scalar _Any
  union _Entity = ConnectedAccount | Provider | Toolkit | User
  extend type Query { _entities(representations: [_Any!]!): [_Entity]! }
`);

const withGateways = (schema) => (schema.getType("_Any") ? schema : extendSchema(schema, GATEWAYS, { assumeValid: true }));

const offered = (schema) =>
  collection
    .map(({ title, examples }) => ({ title, examples: examples.filter((example) => isOffered(schema, example)) }))
    .filter(({ examples }) => examples.length > 0);

function Panel() {
  const schema = useGraphiQL((state) => state.schema);
  const groups = useMemo(() => (schema ? offered(withGateways(schema)) : []), [schema]);
  const open = useOpen();
  return (
    <section className="collection" aria-label="Examples">
      <h2>Examples</h2>
      {groups.length === 0 && <p>They are shown when the schema is loaded.</p>}
      {groups.map(({ title, examples }) => (
        <div key={title}>
          <h3>{title}</h3>
          <ul>
            {examples.map((example) => (
              <li key={example.name}>
                <button type="button" className="graphiql-un-styled" onClick={() => open(example)}>
                  {example.name}
                </button>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </section>
  );
}

/** Opens an example in a new tab, or switches to its existing tab. */
function useOpen() {
  const { addTab, changeTab, setVisiblePlugin } = useGraphiQLActions();
  const tabs = useGraphiQL((state) => state.tabs);
  const queryEditor = useGraphiQL((state) => state.queryEditor);
  const variableEditor = useGraphiQL((state) => state.variableEditor);
  const headerEditor = useGraphiQL((state) => state.headerEditor);
  return ({ query, variables = "", headers }) => {
    const tab = tabs.findIndex((tab) => tab.query === query);
    if (tab >= 0) changeTab(tab);
    else {
      const credentials = headerEditor?.getValue() ?? "";
      addTab();
      queryEditor?.setValue(query);
      variableEditor?.setValue(variables);
      headerEditor?.setValue(headers ?? credentials);
    }
    if (narrow.matches) setVisiblePlugin(null);
    queryEditor?.focus();
  };
}

const Icon = () => (
  <svg viewBox="0 0 24 24" width="1em" height="1em" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
    <path d="M4 6h16M4 12h10M4 18h7M18 13v7l4-3.5z" strokeLinejoin="round" />
  </svg>
);

export const EXAMPLES_PLUGIN = { title: "Examples", icon: Icon, content: Panel };

/** Open on a first visit if the screen is wide enough. */
export const firstPlugin = narrow.matches ? undefined : EXAMPLES_PLUGIN;
