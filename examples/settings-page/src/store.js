// A value outside Relay's store that components subscribe to, such as the token or the state of the connection.
import { useSyncExternalStore } from "react";

export function createStore(value) {
  const subscribers = new Set();
  return {
    get: () => value,
    set(next) {
      value = typeof next === "function" ? next(value) : next;
      for (const subscriber of subscribers) subscriber();
    },
    subscribe(subscriber) {
      subscribers.add(subscriber);
      return () => subscribers.delete(subscriber);
    },
  };
}

export const useStore = (store) => useSyncExternalStore(store.subscribe, store.get);
