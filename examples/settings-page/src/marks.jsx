// Small components of several parts: states, services, persons, icons, facts, copy buttons, and placeholders.
import { Component, useState } from "react";
import { logos } from "./logos.js";
import { useStore } from "./store.js";
import { brand, stateOf } from "./words.js";

export function State({ state }) {
  const { label, tone } = stateOf(state);
  return <span className={`state ${tone}`}>{label}</span>;
}

/** A constant colour for each name. */
const hue = (text) => ([...text].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7) * 137) % 360;

/** The logo of a service where the page may load it, otherwise its initials. */
export function ServiceMark({ name, logo }) {
  const origins = useStore(logos.allowed);
  const broken = useStore(logos.broken);
  if (logo && logos.isAllowed(logo, origins) && !broken.has(logo)) {
    return (
      <span className="mark service logo" aria-hidden="true">
        <img src={logo} alt="" loading="lazy" referrerPolicy="no-referrer" onError={() => logos.failed(logo)} />
      </span>
    );
  }
  return (
    <span className="mark service" style={{ "--hue": hue(name) }} aria-hidden="true">
      {brand(name)
        .split(" ")
        .map((word) => word[0])
        .slice(0, 2)
        .join("")}
    </span>
  );
}

/** `user_27` → 27, `ann@…` → AN. */
const initials = (user) => /(\d{1,2})$/.exec(user)?.[1] ?? user.slice(0, 2).toUpperCase();

export const PersonMark = ({ user, state }) => (
  <span
    className={`mark person ${state ? stateOf(state).tone : ""}`}
    style={{ "--hue": hue(user ?? "?") }}
    title={state && `${user ?? "Unknown user"}: ${stateOf(state).label}`}
    aria-hidden="true"
  >
    {initials(user ?? "?")}
  </span>
);

const PATHS = {
  refresh: "M20 11a8 8 0 1 0-2.3 6.3M20 5v6h-6",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM20 20l-4-4",
  chevron: "M9 6l6 6-6 6",
  alert: "M12 8v5M12 16.5v.1M10.3 4.2 2.9 17a2 2 0 0 0 1.7 3h14.8a2 2 0 0 0 1.7-3L13.7 4.2a2 2 0 0 0-3.4 0z",
  check: "M20 7 10 17l-5-5",
  sun: "M12 7.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M5 19l1.4-1.4M17.6 6.4 19 5",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  copy: "M9 9h10v11H9zM15 9V5H5v11h4",
  close: "M6 6l12 12M18 6 6 18",
};

export const Icon = ({ name }) => (
  <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
    <path d={PATHS[name]} />
  </svg>
);

export const Skeleton = ({ lines = 4 }) => (
  <div className="card skeleton" role="status" aria-label="Loading">
    {Array.from({ length: lines }, (_, line) => (
      <div key={line} className="bone" />
    ))}
  </div>
);

export const Fact = ({ name, children }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);

export function CopyButton({ text, label, isIcon }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2_000);
  };
  const shown = copied ? "Copied" : label;
  return (
    <button className={isIcon ? "quiet tiny" : "small"} onClick={copy} title={isIcon ? shown : undefined}>
      <Icon name={copied ? "check" : "copy"} />{" "}
      <span aria-live="polite" className={isIcon ? "unseen" : undefined}>
        {shown}
      </span>
    </button>
  );
}

/** Limits an error to one part of the page. */
export class ErrorBoundary extends Component {
  state = { error: null };
  static getDerivedStateFromError = (error) => ({ error });
  render() {
    const { error } = this.state;
    return error ? <p className="panel muted">{error.message} Close and open it to try again.</p> : this.props.children;
  }
}
