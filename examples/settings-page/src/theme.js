// Light or dark: the system's, until somebody chooses.
import { createStore } from "./store.js";

const system = matchMedia("(prefers-color-scheme: dark)");
const chosen = createStore(localStorage.getItem("theme"));

const show = () => {
  if (chosen.get()) document.documentElement.dataset.theme = chosen.get();
};
show();

export const theme = {
  get: () => chosen.get() ?? (system.matches ? "dark" : "light"),
  follow(follower) {
    const leave = chosen.follow(follower);
    system.addEventListener("change", follower);
    return () => {
      leave();
      system.removeEventListener("change", follower);
    };
  },
  toggle() {
    chosen.set(theme.get() === "dark" ? "light" : "dark");
    localStorage.setItem("theme", chosen.get());
    show();
  },
};
