// A value that components follow. The page has two that Relay's store has no place for: how the connection fares, and
// the token.
import { useSyncExternalStore } from "react";

export function createStore(value) {
  const followers = new Set();
  return {
    get: () => value,
    set(next) {
      value = typeof next === "function" ? next(value) : next;
      for (const follower of followers) follower();
    },
    follow(follower) {
      followers.add(follower);
      return () => followers.delete(follower);
    },
  };
}

export const useStore = (store) => useSyncExternalStore(store.follow, store.get);
