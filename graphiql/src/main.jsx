import "./style.css";
import "./workers.js";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { useGraphiQL } from "@graphiql/react";
import { GraphiQL } from "graphiql";
import { useEffect } from "react";
import { createRoot } from "react-dom/client";
import { EXAMPLES_PLUGIN, firstPlugin, narrow } from "./Collection.jsx";
import { firstTabs } from "./examples.js";
import { fetcher } from "./fetcher.js";
import { ResultLine } from "./ResultLine.jsx";
import { StatusStrip } from "./StatusStrip.jsx";
import { TokenField } from "./TokenField.jsx";

/** `?query=` and `&variables=` fill a tab. The page never runs them, because a link could contain a mutation. */
const parameters = new URLSearchParams(location.search);
const linked = parameters.get("query") ? { query: parameters.get("query"), variables: parameters.get("variables") ?? "" } : null;

const plugins = [EXAMPLES_PLUGIN, HISTORY_PLUGIN];

/** Wraps long lines in the operation editor, which is narrow beside a panel and on a phone. */
function Wrapping() {
  const editor = useGraphiQL((state) => state.queryEditor);
  useEffect(() => editor?.updateOptions({ wordWrap: "on", wrappingIndent: "indent" }), [editor]);
}

createRoot(document.getElementById("root")).render(
  <>
    <GraphiQL
      fetcher={fetcher}
      defaultTabs={linked ? [linked, ...firstTabs] : firstTabs}
      initialQuery={linked?.query}
      initialVariables={linked?.variables}
      // Headers can contain credentials.
      shouldPersistHeaders={false}
      plugins={plugins}
      visiblePlugin={localStorage.getItem("graphiql:visiblePlugin") === null ? firstPlugin : undefined}
      defaultEditorToolsVisibility={narrow.matches ? false : "variables"}
    >
      <GraphiQL.Logo>
        Switchboard
        <Wrapping />
        <TokenField />
      </GraphiQL.Logo>
      <GraphiQL.Footer>
        <ResultLine />
      </GraphiQL.Footer>
    </GraphiQL>
    <div className="bottom">
      <StatusStrip />
      <div id="token-slot" />
    </div>
  </>,
);
