// What the list is narrowed to. It lives in the page’s address, so that a link shows the same.
import { useEffect, useState } from "react";

const read = () => {
  const words = new URLSearchParams(location.search);
  return {
    search: words.get("search") ?? "",
    category: words.get("category") ?? "",
    state: words.get("state") ?? "",
    attention: words.has("attention"),
  };
};

function write(filters) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) if (value) words.set(name, value === true ? "1" : value);
  const text = words.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

export const NONE = { search: "", category: "", state: "", attention: false };

export const isNarrowed = (filters) => Object.values(filters).some(Boolean);

export function useFilters() {
  const [filters, setFilters] = useState(read);
  useEffect(() => write(filters), [filters]);
  return [filters, setFilters];
}

/** As the graph's `ProviderFilter`: what is null is not asked for. */
export const asInput = ({ search, category, state, attention }) => ({
  search: search || null,
  categories: category ? [category] : null,
  healthStates: state ? [state] : null,
  needsAttention: attention || null,
});
