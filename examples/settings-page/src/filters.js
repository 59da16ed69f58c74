// The filters of the list. They are in the page's URL, so that a link shows the same list.
import { useEffect, useState } from "react";

const read = () => {
  const parameters = new URLSearchParams(location.search);
  return {
    search: parameters.get("search") ?? "",
    category: parameters.get("category") ?? "",
    state: parameters.get("state") ?? "",
    attention: parameters.has("attention"),
  };
};

function write(filters) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) if (value) parameters.set(name, value === true ? "1" : value);
  const text = parameters.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

export const NONE = { search: "", category: "", state: "", attention: false };

export const isFiltered = (filters) => Object.values(filters).some(Boolean);

export function useFilters() {
  const [filters, setFilters] = useState(read);
  useEffect(() => write(filters), [filters]);
  return [filters, setFilters];
}

/** The graph's `ProviderFilter`. Null matches everything. */
export const asInput = ({ search, category, state, attention }) => ({
  search: search || null,
  categories: category ? [category] : null,
  healthStates: state ? [state] : null,
  needsAttention: attention || null,
});
