// The line below a response: HTTP status, time, size, and the upstream calls that it took.
import { useGraphiQL } from "@graphiql/react";
import { useEffect, useEffectEvent, useState } from "react";
import { operations } from "./fetcher.js";

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export function ResultLine() {
  const tab = useGraphiQL(({ tabs, activeTabIndex }) => tabs[activeTabIndex]?.id);
  const [results, setResults] = useState({});
  const record = useEffectEvent(({ detail }) => setResults((before) => ({ ...before, [tab]: detail })));
  useEffect(() => {
    operations.addEventListener("answered", record);
    return () => operations.removeEventListener("answered", record);
  }, []);
  const { status, tookMs, bytes, trace } = results[tab] ?? {};
  return (
    <p className="result-line" role="status">
      {status && (
        <>
          <span className={status < 400 ? undefined : "bad"}>HTTP {status}</span>
          <span>{number.format(tookMs)} ms</span>
          <span>{bytes < 1_000 ? `${bytes} bytes` : `${number.format(bytes / 1_000)} KB`}</span>
          {trace && <span>{callsOf(trace)}</span>}
        </>
      )}
    </p>
  );
}

function callsOf({ calls, saved }) {
  const made = calls.length === 0 ? "no upstream call" : `${calls.length} upstream call${calls.length === 1 ? "" : "s"}`;
  const avoided = Object.values(saved).reduce((sum, count) => sum + count, 0);
  return avoided > 0 ? `${made}, ${avoided} saved` : made;
}
