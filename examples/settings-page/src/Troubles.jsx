// The failing APIs: since when, which part of the page is affected, and the time of the next attempt. The rest of the page remains.
import { graphql, useFragment } from "react-relay";
import { outages } from "./environment.js";
import { Icon } from "./marks.jsx";
import { useStore } from "./store.js";
import { Clock } from "./Time.jsx";
import { problemOf, SOURCES } from "./words.js";

export function Troubles({ upstreams, freshness, due, error }) {
  const states = useFragment(
    graphql`
      fragment Troubles_upstreams on Upstream @relay(plural: true) {
        name
        state
        lastSuccessAt
        lastError {
          at
        }
      }
    `,
    upstreams,
  );
  const failing = useStore(outages);
  return (
    <div className="troubles" role="status">
      {error && (
        <div className="trouble bad">
          <Icon name="alert" />
          <p>
            <b>The connection is lost.</b> {error.message} The page shows the last data and retries automatically.
          </p>
        </div>
      )}
      {states.map((upstream) => (
        <Trouble
          key={upstream.name}
          upstream={upstream}
          outage={failing[upstream.name]}
          freshness={freshness[upstream.name]}
          retryAt={due[upstream.name]}
        />
      ))}
    </div>
  );
}

function Trouble({ upstream, outage, freshness, retryAt }) {
  const problem = problemOf(upstream, outage, freshness);
  if (!problem) return null;
  const { name, lastSuccessAt, lastError } = upstream;
  const { name: api, what } = SOURCES[name] ?? { name, what: name };
  const since = lastSuccessAt ?? lastError?.at ?? outage?.since;
  return (
    <div className={`trouble ${problem.tone}`}>
      <Icon name="alert" />
      <p>
        <b>
          {api} {problem.title}.
        </b>{" "}
        {freshness ? (
          <>
            {what} are shown as of <Clock at={freshness.fetchedAt} />.
          </>
        ) : (
          `${what} are not available. The rest of the page is.`
        )}{" "}
        <span className="times">
          {since && (
            <>
              {lastSuccessAt ? "Last success" : "Since"} <Clock at={since} />
              {" · "}
            </>
          )}
          Next attempt {retryAt > Date.now() ? <Clock at={retryAt} /> : "with the next update"}
        </span>
      </p>
    </div>
  );
}
