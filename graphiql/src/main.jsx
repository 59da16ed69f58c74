import "./style.css";
import "./workers.js";
import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { GraphiQL } from "graphiql";
import { createRoot } from "react-dom/client";
import { EXAMPLES_PLUGIN, firstPlugin, narrow } from "./Collection.jsx";
import { firstTab } from "./examples.js";
import { fetcher } from "./fetcher.js";
import { StatusStrip } from "./StatusStrip.jsx";

const plugins = [EXAMPLES_PLUGIN, HISTORY_PLUGIN];

createRoot(document.getElementById("root")).render(
  <>
    <GraphiQL
      fetcher={fetcher}
      defaultTabs={[firstTab]}
      plugins={plugins}
      visiblePlugin={localStorage.getItem("graphiql:visiblePlugin") === null ? firstPlugin : undefined}
      defaultEditorToolsVisibility={narrow.matches ? false : "variables"}
    >
      <GraphiQL.Logo>Switchboard</GraphiQL.Logo>
    </GraphiQL>
    <StatusStrip />
  </>,
);
