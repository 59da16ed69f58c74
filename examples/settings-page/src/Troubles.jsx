// What is away, since when, what of the page that concerns, and when it is tried again. The rest of the page stands.
import { graphql, useFragment } from "react-relay";
import { outages } from "./environment.js";
import { Icon } from "./marks.jsx";
import { Clock } from "./Moment.jsx";
import { useStore } from "./store.js";
import { SOURCES, troubleOf } from "./words.js";

export function Troubles({ upstreams, freshness, due, lost }) {
  const known = useFragment(
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
  const out = useStore(outages);
  return (
    <div className="troubles" role="status">
      {lost && (
        <div className="trouble bad">
          <Icon name="alert" />
          <p>
            <b>The connection is lost.</b> {lost.message} What you see is what was read last; it is tried again by itself.
          </p>
        </div>
      )}
      {known.map((upstream) => (
        <Trouble key={upstream.name} {...upstream} outage={out[upstream.name]} freshness={freshness[upstream.name]} retryAt={due[upstream.name]} />
      ))}
    </div>
  );
}

function Trouble({ name, state, lastSuccessAt, lastError, outage, freshness, retryAt }) {
  const trouble = troubleOf(state, outage?.code);
  // A quota that allows no call now is no trouble while what is shown is fresh.
  if (!trouble || (state === "RATE_LIMITED" && freshness?.state === "FRESH" && !outage)) return null;
  const { name: api, what } = SOURCES[name] ?? { name, what: name };
  const since = lastSuccessAt ?? lastError?.at ?? outage?.since;
  return (
    <div className={`trouble ${trouble.tone}`}>
      <Icon name="alert" />
      <p>
        <b>
          {api} {trouble.title}.
        </b>{" "}
        {freshness ? (
          <>
            {what} are shown as of <Clock at={freshness.fetchedAt} />.
          </>
        ) : (
          `${what} cannot be shown; everything else can.`
        )}{" "}
        <span className="times">
          {since && (
            <>
              {lastSuccessAt ? "Last answer" : "Since"} <Clock at={since} />
              {retryAt > Date.now() && " · "}
            </>
          )}
          {retryAt > Date.now() && (
            <>
              Next try <Clock at={retryAt} />
            </>
          )}
        </span>
      </p>
    </div>
  );
}
