// Logos of services: only those that this page may load. Its server's setting `http.image_origins` is the `img-src` of its content
// security policy. An image that the policy refuses would be a console error, so the page reads the policy first.
import { createStore } from "./store.js";

/** The origins of allowed images; null until the policy is known, and "*" on a server without one. */
const allowed = createStore(null);

/** URLs that could not be loaded. */
const broken = createStore(new Set());

export async function readPolicy() {
  try {
    const { headers } = await fetch(location.pathname, { method: "HEAD" });
    allowed.set(imageOrigins(headers.get("content-security-policy")));
  } catch {
    // The initials stay.
  }
}

function imageOrigins(policy) {
  if (policy === null) return "*";
  const directives = policy.split(";").map((directive) => directive.trim().split(/\s+/));
  const [, ...sources] = directives.find(([name]) => name === "img-src") ?? [];
  return sources;
}

const isAllowed = (url, origins) => origins === "*" || (origins?.includes(new URL(url).origin) ?? false);

export const logos = { allowed, broken, isAllowed, failed: (url) => broken.set((before) => new Set(before).add(url)) };
