// The page's texts for states, names and reasons, and what to do about them. The graph's own sentences (`reasons.message`,
// `errorMessage`) are shown unchanged. Enum values of a newer graph are shown as they are.

export const STATES = {
  HEALTHY: { label: "Healthy", tone: "good" },
  DEGRADED: { label: "Degraded", tone: "warn" },
  PENDING: { label: "Pending", tone: "info" },
  NEEDS_REAUTH: { label: "Needs sign-in", tone: "bad" },
  DISABLED: { label: "Paused", tone: "idle" },
  DISCONNECTED: { label: "Not connected", tone: "idle" },
  UNKNOWN: { label: "Unknown", tone: "idle" },
};
/** The states of integrations. Only accounts can be PENDING or DISABLED. */
export const PROVIDER_STATES = ["HEALTHY", "DEGRADED", "NEEDS_REAUTH", "DISCONNECTED", "UNKNOWN"];
export const stateOf = (state) => STATES[state] ?? { label: title(state), tone: "idle" };

/** The statuses of accounts, grouped as the page counts and filters them. */
export const ACCOUNT_STATUSES = {
  ACTIVE: { label: "Active", tone: "good", statuses: ["ACTIVE"] },
  PENDING: { label: "Pending or abandoned", tone: "info", statuses: ["INITIALIZING", "INITIATED"] },
  NEEDS_SIGN_IN: { label: "Needs sign-in", tone: "bad", statuses: ["EXPIRED", "FAILED"] },
  INACTIVE: { label: "Paused", tone: "idle", statuses: ["INACTIVE"] },
  REVOKED: { label: "Revoked", tone: "idle", statuses: ["REVOKED"] },
  UNKNOWN: { label: "Unknown", tone: "idle", statuses: ["UNKNOWN"] },
};

export const CATEGORIES = {
  EMAIL: "Email",
  CALENDAR: "Calendar",
  CHANNELS: "Channels",
  IDENTITY: "Identity",
  STORAGE: "Storage",
  BILLING: "Billing",
  OTHER: "Other",
};

/** The heading of a provider's category. */
export const categoryOf = ({ category, rawCategory }) =>
  category === "OTHER" ? (rawCategory.length < 4 ? rawCategory.toUpperCase() : title(rawCategory)) : (CATEGORIES[category] ?? title(category));

const BRANDS = {
  googlecalendar: "Google Calendar",
  googledrive: "Google Drive",
  hubspot: "HubSpot",
  jumpcloud: "JumpCloud",
  linkedin: "LinkedIn",
  onedrive: "OneDrive",
  one_drive: "OneDrive",
  paypal: "PayPal",
  quickbooks: "QuickBooks",
  whatsapp: "WhatsApp",
};
/** `google_drive` → Google Drive. */
export const brand = (name) => BRANDS[name] ?? title(name);

/** The name of a toolkit: the catalogue's, or one derived from the slug while that cannot be read. */
export const serviceOf = ({ slug, name }) => name ?? brand(slug);

/** The logo of an integration: that of its first toolkit with one. */
export const logoOf = ({ toolkits }) => toolkits.find(({ logoUrl }) => logoUrl)?.logoUrl;

/** `REAUTH_REQUIRED` → Reauth Required. */
export function title(word) {
  const spaced = word.replaceAll(/[_-]+/g, " ").toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1).replaceAll(/ \w/g, (letter) => letter.toUpperCase());
}

const SCHEMES = { OAUTH1: "OAuth 1", OAUTH2: "OAuth 2", API_KEY: "API key", S2S_OAUTH2: "Server-to-server OAuth 2" };
export const schemeOf = (scheme) => SCHEMES[scheme] ?? title(scheme);

/** What an admin does about a provider that needs attention. A product puts its own reconnect flow here. */
export const providerRemedy = ({ name, mine }) => `${mine ? "An admin has to sign" : "Sign"} in to ${brand(name)} again`;

/**
 * Why an account needs attention: its sign-in was never completed, it failed, or the connection stopped working. Composio reports an
 * incomplete sign-in as EXPIRED, with this reason.
 */
export function causeOf({ statusReason, health }) {
  const code = health.reasons[0]?.code;
  if (code === "ABANDONED" || /initiation did not complete/i.test(statusReason ?? "")) return "INCOMPLETE";
  return code === "FAILED" ? "FAILED" : "BROKEN";
}

/** What has to be done about the accounts of one service; `mine` if they are the viewer's own. */
export function accountsRemedy({ causes, service, users, mine }) {
  const text = causes.every((cause) => cause === "INCOMPLETE") ? `finish connecting ${service}` : `connect ${service} again`;
  if (mine) return text.charAt(0).toUpperCase() + text.slice(1);
  return `Ask ${users.length === 1 ? (users[0] ?? "its user") : plural(users.length, "user")} to ${text}`;
}

const REMINDERS = {
  INCOMPLETE: (service) => `Hello! Please finish connecting ${service}: the sign-in was started but not completed.`,
  FAILED: (service) => `Hello! Please connect ${service} again: the last sign-in failed.`,
  BROKEN: (service) => `Hello! Please connect ${service} again: its connection no longer works.`,
};

/** A text for the users of `accounts`, `[{ cause, user }]`; with their names if there are several. */
export function reminders(accounts, service) {
  const groups = Map.groupBy(accounts, ({ cause }) => REMINDERS[cause](service));
  if (accounts.length === 1) return [...groups.keys()][0];
  const users = (group) => [...new Set(group.map(({ user }) => user ?? "unknown user"))].join(", ");
  return [...groups].map(([text, group]) => `To: ${users(group)}\n${text}`).join("\n\n");
}

/** The two APIs, and the part of the page that each provides. */
export const SOURCES = {
  LEADLEX: { name: "LeadLex", what: "Integrations" },
  COMPOSIO: { name: "Composio", what: "Accounts" },
};

/** The problem of an API, from its state or from the code of the error that it caused, or null. */
export function problemOf({ state }, outage, freshness) {
  // An exhausted rate limit is no problem while the data is fresh.
  if (state === "RATE_LIMITED" && freshness?.state === "FRESH" && !outage) return null;
  const code = outage?.code;
  if (state === "RATE_LIMITED" || code === "UPSTREAM_RATE_LIMITED") return { title: "has reached its rate limit", tone: "warn" };
  if (state === "UNAUTHORIZED" || ["UPSTREAM_UNAUTHORIZED", "UPSTREAM_FORBIDDEN", "UNAUTHENTICATED"].includes(code))
    return { title: "does not accept the workspace’s key", tone: "bad" };
  if (state === "DOWN" || code) return { title: "is not answering", tone: "bad" };
  if (state === "DEGRADED") return { title: "answers only in part", tone: "warn" };
  return null;
}

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
