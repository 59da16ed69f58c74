// Light or dark: the system's scheme until the user chooses one.
import { createStore } from "./store.js";

const system = matchMedia("(prefers-color-scheme: dark)");
const chosen = createStore(localStorage.getItem("theme"));

const apply = () => {
  if (chosen.get()) document.documentElement.dataset.theme = chosen.get();
};
apply();

export const theme = {
  get: () => chosen.get() ?? (system.matches ? "dark" : "light"),
  subscribe(subscriber) {
    const unsubscribe = chosen.subscribe(subscriber);
    system.addEventListener("change", subscriber);
    return () => {
      unsubscribe();
      system.removeEventListener("change", subscriber);
    };
  },
  toggle() {
    chosen.set(theme.get() === "dark" ? "light" : "dark");
    localStorage.setItem("theme", chosen.get());
    apply();
  },
};
