// The frame of the page: the header, the sign-in form, the loading state, and the state without any data.
import "./style.css";
import { Component, StrictMode, Suspense, useEffect, useMemo, useState } from "react";
import { createRoot } from "react-dom/client";
import { RelayEnvironmentProvider } from "react-relay";
import { createEnvironment, token } from "./environment.js";
import { readPolicy } from "./logos.js";
import { Icon, Skeleton } from "./marks.jsx";
import { hasSucceeded, isReturnFromSignIn, signalSignIn } from "./reconnects.js";
import { SettingsPage } from "./SettingsPage.jsx";
import { useStore } from "./store.js";
import { theme } from "./theme.js";

function Frame({ children }) {
  const current = useStore(theme);
  const other = current === "dark" ? "light" : "dark";
  return (
    <>
      <header className="bar">
        <a className="home" href="./" title="GraphiQL">
          <img src={icon} alt="" width="22" height="22" /> Switchboard
        </a>
        <span className="crumb">Settings</span>
        <button className="quiet round" onClick={theme.toggle} aria-label={`Switch to ${other}`} title={`Switch to ${other}`}>
          <Icon name={current === "dark" ? "sun" : "moon"} />
        </button>
      </header>
      <main>{children}</main>
    </>
  );
}

function SignIn({ rejected }) {
  const [typed, setTyped] = useState(rejected ?? "");
  const submit = (event) => {
    event.preventDefault();
    token.set({ value: typed.trim(), required: false, rejected: null });
  };
  return (
    <form className="card lonely" onSubmit={submit}>
      <h1>Sign in</h1>
      <p>This graph requires a token.</p>
      {rejected && (
        <p className="trouble bad" role="alert" id="rejected">
          <Icon name="alert" /> This token was not accepted. Check that it is complete, or ask an administrator for a new one.
        </p>
      )}
      <label htmlFor="token">Token</label>
      <input
        id="token"
        type="password"
        autoComplete="off"
        autoFocus
        required
        aria-invalid={Boolean(rejected)}
        aria-describedby={rejected ? "rejected" : undefined}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
      />
      <button className="primary">Continue</button>
    </form>
  );
}

const RETRY_MS = 15_000;

function Nothing({ error, retry }) {
  useEffect(() => {
    const timer = setTimeout(retry, Math.max((error.retryAt ?? 0) - Date.now(), RETRY_MS));
    return () => clearTimeout(timer);
  }, [error, retry]);
  return (
    <div className="card lonely" role="alert">
      <h1>Nothing to show yet</h1>
      <p>{error.message} The page retries automatically.</p>
      <button className="primary" onClick={retry}>
        Try now
      </button>
    </div>
  );
}

/** Shows the error of an attempt. Each retry has a new `attempt`, Relay's fetch key. */
class Attempts extends Component {
  state = { attempt: 0, error: null };
  static getDerivedStateFromError = (error) => ({ error });
  retry = () => this.setState(({ attempt }) => ({ attempt: attempt + 1, error: null }));
  render() {
    const { attempt, error } = this.state;
    return error ? <Nothing error={error} retry={this.retry} /> : this.props.children(attempt);
  }
}

const Loading = () => (
  <>
    <h1>Integrations</h1>
    <div className="overview">
      <Skeleton lines={3} />
      <Skeleton lines={3} />
    </div>
    <Skeleton lines={6} />
  </>
);

/** The end of a sign-in, in its own tab. */
function SignedIn() {
  useEffect(signalSignIn, []);
  return (
    <div className="card lonely">
      <h1>{hasSucceeded ? "Signed in" : "The sign-in did not succeed"}</h1>
      <p>You can close this tab. The integrations are in the other one.</p>
    </div>
  );
}

function App() {
  const { value, required, rejected } = useStore(token);
  const environment = useMemo(createEnvironment, [value]);
  if (required) return <SignIn rejected={rejected} />;
  return (
    <RelayEnvironmentProvider environment={environment}>
      <Attempts key={value}>
        {(attempt) => (
          <Suspense fallback={<Loading />}>
            <SettingsPage attempt={attempt} />
          </Suspense>
        )}
      </Attempts>
    </RelayEnvironmentProvider>
  );
}

readPolicy();

const icon = document.querySelector("link[rel=icon]").href;

createRoot(document.getElementById("root"), {
  // `Attempts` shows these errors, so they are not logged.
  onCaughtError() {},
}).render(
  <StrictMode>
    <Frame>{isReturnFromSignIn ? <SignedIn /> : <App />}</Frame>
  </StrictMode>,
);
