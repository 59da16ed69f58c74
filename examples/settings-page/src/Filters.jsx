// The filters of the list: search, state, category, and whether an integration needs attention.
import { useEffect, useEffectEvent, useState } from "react";
import { isFiltered, NONE } from "./filters.js";
import { Icon } from "./marks.jsx";
import { CATEGORIES, plural, PROVIDER_STATES, stateOf } from "./words.js";

/** The delay after the last keystroke. A search for accounts costs an upstream call. */
const DEBOUNCE_MS = 400;

/** `needing` is the number of integrations that need attention, if it is known. */
export function Filters({ filters, setFilters, needing }) {
  const set = (part) => setFilters({ ...filters, ...part });
  return (
    <div className="filters" role="search">
      <Search value={filters.search} onChange={(search) => set({ search })} />
      <select aria-label="State" value={filters.state} onChange={(event) => set({ state: event.target.value })}>
        <option value="">All states</option>
        {PROVIDER_STATES.map((state) => (
          <option key={state} value={state}>
            {stateOf(state).label}
          </option>
        ))}
      </select>
      <select aria-label="Category" value={filters.category} onChange={(event) => set({ category: event.target.value })}>
        <option value="">All categories</option>
        {Object.entries(CATEGORIES).map(([category, label]) => (
          <option key={category} value={category}>
            {label}
          </option>
        ))}
      </select>
      <button className="toggle" aria-pressed={filters.attention} onClick={() => set({ attention: !filters.attention })}>
        {needing === undefined ? "Only broken integrations" : `${plural(needing, "integration needs", "integrations need")} attention`}
      </button>
      {isFiltered(filters) && (
        <button className="quiet" onClick={() => setFilters(NONE)}>
          <Icon name="close" /> Clear
        </button>
      )}
    </div>
  );
}

function Search({ value, onChange }) {
  const [typed, setTyped] = useState(value);
  const [known, setKnown] = useState(value);
  const change = useEffectEvent(onChange);
  // Set by another control, such as "Clear".
  if (known !== value) {
    setKnown(value);
    setTyped(value);
  }
  useEffect(() => {
    if (typed === value) return undefined;
    const timer = setTimeout(() => change(typed), DEBOUNCE_MS);
    return () => clearTimeout(timer);
  }, [typed, value]);
  return (
    <span className="search">
      <Icon name="search" />
      <input type="search" placeholder="Integration, user ID or account ID" aria-label="Search integrations and accounts" value={typed} onChange={(event) => setTyped(event.target.value)} />
    </span>
  );
}
