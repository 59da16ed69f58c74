// What a user does about an account: reconnect, pause or resume, rename, remove. Errors are shown at the account's row.
import { Suspense, useContext, useEffect, useEffectEvent, useId, useRef, useState } from "react";
import { graphql, useFragment, useLazyLoadQuery } from "react-relay";
import { Page, useActions } from "./actions.js";
import { Refetches } from "./live.js";
import { CopyButton, ErrorBoundary, Icon, State } from "./marks.jsx";
import { callbackUrl, endReconnect, onSignIn, reconnects, setReconnect } from "./reconnects.js";
import { useStore } from "./store.js";
import { Clock } from "./Time.jsx";
import { serviceOf } from "./words.js";

const fragment = graphql`
  fragment AccountActions_account on ConnectedAccount {
    id
    userId
    alias
    status
    toolkit {
      slug
      name
    }
    health {
      needsAttention
      state
    }
  }
`;

const isBroken = ({ health }) => health.needsAttention || ["NEEDS_REAUTH", "DISCONNECTED"].includes(health.state);

/** Beside a row: the reconnect button of a broken account. Below it: the sign-in in progress. */
export function RowActions({ account: key }) {
  const account = useFragment(fragment, key);
  const { actions } = useContext(Page);
  const { run, busy, error } = useActions();
  const reconnect = useStore(reconnects)[account.id];
  if (reconnect) return <Reconnecting account={account} {...reconnect} />;
  return (
    <>
      {isBroken(account) && actions.includes("RECONNECT") && <ReconnectButton account={account} run={run} busy={busy} />}
      <ActionError error={error} />
    </>
  );
}

/** In the details of an account: its other actions, as far as the viewer may take them. */
export function AccountActions({ account: key }) {
  const account = useFragment(fragment, key);
  const { actions, mine } = useContext(Page);
  const { run, busy, error } = useActions();
  const [open, setOpen] = useState(null);
  const reconnect = useStore(reconnects)[account.id];
  const isPaused = account.status === "INACTIVE";
  const enable = (enabled) =>
    run("setAccountEnabled", { id: account.id, enabled }, (store) => {
      const health = store.get(account.id).getLinkedRecord("health");
      health.setValue(enabled ? "HEALTHY" : "DISABLED", "state");
      store.get(account.id).setValue(enabled ? "ACTIVE" : "INACTIVE", "status");
    });
  if (actions.length === 0) {
    return mine ? null : <p className="muted small">Actions are switched off. An operator switches them on by the setting actions.enabled.</p>;
  }
  const may = (action) => actions.includes(action);
  return (
    <div className="account-actions">
      <div className="buttons">
        {may("RECONNECT") && !reconnect && !isBroken(account) && <ReconnectButton account={account} run={run} busy={busy} />}
        {may("ENABLE") && (isPaused || account.status === "ACTIVE") && (
          <button className="small" disabled={busy !== null} onClick={() => enable(isPaused)}>
            {isPaused ? "Resume" : "Pause"}
          </button>
        )}
        {may("RENAME") && (
          <button className="small" aria-expanded={open === "rename"} onClick={() => setOpen(open === "rename" ? null : "rename")}>
            Rename
          </button>
        )}
        {may("REMOVE") && (
          <button className="small danger" onClick={() => setOpen("remove")}>
            Remove
          </button>
        )}
      </div>
      {open === "rename" && <Rename account={account} run={run} busy={busy} close={() => setOpen(null)} />}
      {open === "remove" && <Remove account={account} run={run} busy={busy} close={() => setOpen(null)} />}
      <ActionError error={error} />
    </div>
  );
}

const ActionError = ({ error }) =>
  error && (
    <p className="trouble bad action-error" role="alert">
      <Icon name="alert" /> {error.message}
    </p>
  );

/**
 * Opens the sign-in page in a new tab. The tab must be opened in the click itself, so it is empty until the URL arrives. If Composio
 * does not name the user of the account, an admin enters the ID first.
 */
function ReconnectButton({ account, run, busy }) {
  const { mine } = useContext(Page);
  const [asking, setAsking] = useState(false);
  const reconnect = async (userId) => {
    const tab = window.open("about:blank");
    const payload = await run("reconnectAccount", { id: account.id, userId, callbackUrl: callbackUrl() });
    if (!payload?.redirectUrl) return tab?.close();
    setReconnect(account.id, { newId: payload.connectedAccount?.id, url: payload.redirectUrl, expiresAt: payload.expiresAt });
    if (!tab) return undefined;
    // The sign-in page gets no access to this one.
    tab.opener = null;
    return tab.location.replace(payload.redirectUrl);
  };
  const isBusy = busy === "reconnectAccount";
  const needsUser = !account.userId && !mine;
  const label = ["Reconnect", serviceOf(account.toolkit), account.userId && `of ${account.userId}`].filter(Boolean).join(" ");
  return (
    <>
      <button
        className="small reconnect"
        aria-label={label}
        aria-expanded={needsUser ? asking : undefined}
        disabled={busy !== null}
        aria-busy={isBusy}
        onClick={() => (needsUser ? setAsking(!asking) : reconnect())}
      >
        <Icon name="refresh" /> {isBusy ? "Reconnecting…" : "Reconnect"}
      </button>
      {asking && <AskUser busy={busy} submit={reconnect} close={() => setAsking(false)} />}
    </>
  );
}

/** Asks for the user of a new sign-in. */
function AskUser({ busy, submit, close }) {
  const [user, setUser] = useState("");
  const input = useId();
  const send = (event) => {
    event.preventDefault();
    submit(user.trim());
  };
  return (
    <form className="buttons ask" onSubmit={send}>
      <label htmlFor={input}>User ID</label>
      <input id={input} required pattern=".*\S.*" autoFocus value={user} placeholder="As in your application" onChange={(event) => setUser(event.target.value)} />
      <button className="small primary" disabled={busy !== null}>
        Continue
      </button>
      <button className="small" type="button" onClick={close}>
        Cancel
      </button>
    </form>
  );
}

const Reconnecting = (props) => (
  <div className="reconnecting" role="status">
    <ErrorBoundary>
      <Suspense fallback={<p className="muted">Waiting for the sign-in…</p>}>{props.newId ? <Progress {...props} /> : <Waiting {...props} />}</Suspense>
    </ErrorBoundary>
  </div>
);

/** The new account, until the user has decided about the old one. */
function Progress(props) {
  const { account, newId } = props;
  const refetches = useContext(Refetches);
  const { actions } = useContext(Page);
  const { run, busy, error } = useActions();
  const { connectedAccount } = useLazyLoadQuery(
    graphql`
      query AccountActionsReconnectQuery($id: ID!) {
        connectedAccount(id: $id) {
          id
          status
          statusReason
          health {
            state
          }
        }
      }
    `,
    { id: newId },
    { fetchPolicy: "store-and-network", fetchKey: refetches },
  );
  const { status, statusReason, health } = connectedAccount ?? { status: "REMOVED" };
  if (["INITIALIZING", "INITIATED"].includes(status)) return <Waiting {...props} />;
  if (status !== "ACTIVE") {
    return (
      <p>
        <b>The sign-in did not succeed.</b> {statusReason && `${statusReason}. `}
        <button className="small" onClick={() => endReconnect(account.id)}>
          Close
        </button>
      </p>
    );
  }
  const remove = async () => {
    // Providers revoke all tokens of an application and user at once, so revoking the old ones could end the new connection.
    const payload = await run("removeAccount", { id: account.id, revokeAtProvider: false });
    if (payload) endReconnect(account.id);
  };
  return (
    <>
      <State state={health.state} />
      <p>
        <b>{serviceOf(account.toolkit)} is connected again.</b> The old connection is not used any more.
      </p>
      <span className="buttons">
        {actions.includes("REMOVE") && (
          <button className="small primary" disabled={busy !== null} onClick={remove}>
            Remove the old connection
          </button>
        )}
        <button className="small" onClick={() => endReconnect(account.id)}>
          Keep it
        </button>
      </span>
      <ActionError error={error} />
    </>
  );
}

/** While the user signs in: the time between two refetches, which cost no upstream call while the data is fresh, or two refreshes. */
const WAITING_MS = 5_000;

function Waiting({ account, url, expiresAt }) {
  const { reload, refresh, mine } = useContext(Page);
  const last = useRef(0);
  const ended = useEffectEvent(() => {
    last.current = Date.now();
    refresh();
  });
  const poll = useEffectEvent(() => document.hidden || reload());
  useEffect(() => {
    const stop = onSignIn(() => ended());
    // The sign-in may end on a page of Composio, which sends no signal.
    const focused = () => Date.now() - last.current > WAITING_MS && ended();
    addEventListener("focus", focused);
    const timer = setInterval(() => poll(), WAITING_MS);
    return () => {
      stop();
      removeEventListener("focus", focused);
      clearInterval(timer);
    };
  }, []);
  return (
    <>
      <p>
        <b>Sign in to {serviceOf(account.toolkit)} in the other tab.</b>{" "}
        {expiresAt && (
          <span className="muted">
            The page is valid until <Clock at={expiresAt} />.
          </span>
        )}
      </p>
      <span className="buttons">
        <a className="button small" href={url} target="_blank" rel="noreferrer">
          Open the sign-in page
        </a>
        {!mine && <CopyButton text={url} label={`Copy the link for ${account.userId ?? "its user"}`} />}
        <button className="quiet small" onClick={() => endReconnect(account.id)}>
          Cancel
        </button>
      </span>
    </>
  );
}

function Rename({ account, run, busy, close }) {
  const [alias, setAlias] = useState(account.alias ?? "");
  const input = useId();
  const submit = async (event) => {
    event.preventDefault();
    const rename = (store) => store.get(account.id).setValue(alias.trim() || null, "alias");
    if (await run("renameAccount", { id: account.id, alias: alias.trim() }, rename)) close();
  };
  return (
    <form className="buttons" onSubmit={submit}>
      <label htmlFor={input}>Name</label>
      <input id={input} maxLength={100} autoFocus value={alias} placeholder="No name" onChange={(event) => setAlias(event.target.value)} />
      <button className="small primary" disabled={busy !== null}>
        Save
      </button>
      <button className="small" type="button" onClick={close}>
        Cancel
      </button>
    </form>
  );
}

function Remove({ account, run, busy, close }) {
  const dialog = useRef(null);
  const title = useId();
  const [revoke, setRevoke] = useState(true);
  const service = serviceOf(account.toolkit);
  useEffect(() => dialog.current.showModal(), []);
  const submit = async (event) => {
    event.preventDefault();
    await run("removeAccount", { id: account.id, revokeAtProvider: revoke });
    close();
  };
  return (
    <dialog ref={dialog} className="card" aria-labelledby={title} onClose={close}>
      <form onSubmit={submit}>
        <h3 id={title}>
          Remove {service}
          {account.userId && ` of ${account.userId}`}?
        </h3>
        <p>The connection is deleted at Composio. This cannot be undone: {service} has to be connected again.</p>
        <label className="check">
          <input type="checkbox" checked={revoke} onChange={(event) => setRevoke(event.target.checked)} />
          <span>
            Also revoke the access at {service}
            <span className="muted small">
              {revoke
                ? " Its tokens become invalid there. Other connections of the same user to it may end too."
                : ` The access stays valid at ${service} until it expires or the user revokes it there.`}
            </span>
          </span>
        </label>
        <span className="buttons">
          <button className="primary danger" disabled={busy !== null}>
            {busy ? "Removing…" : "Remove"}
          </button>
          <button type="button" autoFocus onClick={close}>
            Cancel
          </button>
        </span>
      </form>
    </dialog>
  );
}
