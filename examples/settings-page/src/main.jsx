// The page's frame: what stands around it while it loads, when the graph wants a token, and when nothing came at all.
import "./style.css";
import { Component, StrictMode, Suspense, useEffect, useMemo, useState } from "react";
import { createRoot } from "react-dom/client";
import { RelayEnvironmentProvider } from "react-relay";
import { createEnvironment, token } from "./environment.js";
import { Icon, Skeleton } from "./marks.jsx";
import { SettingsPage } from "./SettingsPage.jsx";
import { useStore } from "./store.js";
import { theme } from "./theme.js";

function Frame({ children }) {
  const shown = useStore(theme);
  const other = shown === "dark" ? "light" : "dark";
  return (
    <>
      <header className="bar">
        <a className="home" href="./" title="The graph's console">
          <img src={icon} alt="" width="22" height="22" /> Switchboard
        </a>
        <span className="crumb">Settings</span>
        <button className="quiet round" onClick={theme.toggle} aria-label={`Switch to ${other}`} title={`Switch to ${other}`}>
          <Icon name={shown === "dark" ? "sun" : "moon"} />
        </button>
      </header>
      <main>{children}</main>
    </>
  );
}

function SignIn() {
  const [typed, setTyped] = useState("");
  const submit = (event) => {
    event.preventDefault();
    token.set({ value: typed.trim(), wanted: false });
  };
  return (
    <form className="card lonely" onSubmit={submit}>
      <h1>Sign in</h1>
      <p>This graph wants to know who is asking.</p>
      <label htmlFor="token">Token</label>
      <input id="token" type="password" autoComplete="off" autoFocus required value={typed} onChange={(event) => setTyped(event.target.value)} />
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
      <p>{error.message} It is tried again by itself.</p>
      <button className="primary" onClick={retry}>
        Try now
      </button>
    </div>
  );
}

/** What failed is tried again with a new `attempt`, under which Relay asks anew. */
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

function App() {
  const { value, wanted } = useStore(token);
  const environment = useMemo(createEnvironment, [value]);
  if (wanted) return <SignIn />;
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

const icon = document.querySelector("link[rel=icon]").href;

createRoot(document.getElementById("root"), {
  // Shown on the page by `Attempts`; the console is for what nobody caught.
  onCaughtError() {},
}).render(
  <StrictMode>
    <Frame>
      <App />
    </Frame>
  </StrictMode>,
);
