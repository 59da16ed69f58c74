import "./style.css";
import "./workers.js";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { useGraphiQL } from "@graphiql/react";
import { GraphiQL } from "graphiql";
import { useEffect } from "react";
import { createRoot } from "react-dom/client";
import { EXAMPLES_PLUGIN, firstPlugin, narrow } from "./Collection.jsx";
import { firstTab } from "./examples.js";
import { fetcher } from "./fetcher.js";
import { StatusStrip } from "./StatusStrip.jsx";

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
      defaultTabs={[firstTab]}
      plugins={plugins}
      visiblePlugin={localStorage.getItem("graphiql:visiblePlugin") === null ? firstPlugin : undefined}
      defaultEditorToolsVisibility={narrow.matches ? false : "variables"}
    >
      <GraphiQL.Logo>
        Switchboard
        <Wrapping />
      </GraphiQL.Logo>
    </GraphiQL>
    <StatusStrip />
  </>,
);
