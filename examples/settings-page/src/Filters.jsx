// Search, state, category, and what needs attention alone.
import { useEffect, useEffectEvent, useState } from "react";
import { isNarrowed, NONE } from "./filters.js";
import { Icon } from "./marks.jsx";
import { CATEGORIES, PROVIDER_STATES, stateOf } from "./words.js";

/** How long typing rests before it is asked for. */
const REST_MS = 250;

export function Filters({ filters, setFilters }) {
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
        Needs attention
      </button>
      {isNarrowed(filters) && (
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
  const tell = useEffectEvent(onChange);
  // Set from elsewhere, as by "Clear".
  if (known !== value) {
    setKnown(value);
    setTyped(value);
  }
  useEffect(() => {
    if (typed === value) return undefined;
    const timer = setTimeout(() => tell(typed), REST_MS);
    return () => clearTimeout(timer);
  }, [typed, value]);
  return (
    <span className="search">
      <Icon name="search" />
      <input type="search" placeholder="Search integrations" aria-label="Search integrations" value={typed} onChange={(event) => setTyped(event.target.value)} />
    </span>
  );
}
