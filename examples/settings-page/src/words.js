// The page's words: how enums, names and reasons read, and what to do about a reason. The graph's own sentences
// (`reasons.message`, `errorMessage`) are shown as they come; an unknown word of a newer graph is shown as it is.

export const STATES = {
  HEALTHY: { label: "Healthy", tone: "good" },
  DEGRADED: { label: "Degraded", tone: "warn" },
  PENDING: { label: "Pending", tone: "info" },
  NEEDS_REAUTH: { label: "Needs sign-in", tone: "bad" },
  DISABLED: { label: "Switched off", tone: "idle" },
  DISCONNECTED: { label: "Not connected", tone: "idle" },
  UNKNOWN: { label: "Unknown", tone: "idle" },
};
/** Those that an integration can be in; PENDING and DISABLED are accounts'. */
export const PROVIDER_STATES = ["HEALTHY", "DEGRADED", "NEEDS_REAUTH", "DISCONNECTED", "UNKNOWN"];
export const stateOf = (state) => STATES[state] ?? { label: title(state), tone: "idle" };

/** What the two APIs' own statuses come to, for counts, which are by status. */
export const STATUS_STATES = {
  provider: { HEALTHY: "HEALTHY", DEGRADED: "DEGRADED", NEEDS_REAUTH: "NEEDS_REAUTH", DISCONNECTED: "DISCONNECTED" },
  account: {
    ACTIVE: "HEALTHY",
    INITIALIZING: "PENDING",
    INITIATED: "PENDING",
    EXPIRED: "NEEDS_REAUTH",
    FAILED: "NEEDS_REAUTH",
    INACTIVE: "DISABLED",
    REVOKED: "DISCONNECTED",
  },
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

/** The heading that a provider stands under. */
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

function title(word) {
  const spaced = word.replaceAll(/[_-]+/g, " ").toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1).replaceAll(/ \w/g, (letter) => letter.toUpperCase());
}

/** What somebody does about a provider that needs attention. A product puts its own reconnect flow here. */
export const providerRemedy = ({ name, mine }) => `${mine ? "An admin has to sign" : "Sign"} in to ${brand(name)} again`;

/** What its user does about an account. */
const reconnect = (code, service) => (code === "ABANDONED" ? `connect ${service} from the start` : `connect ${service} again`);

/** The same, told to that user (`mine`) or to whoever looks after the workspace. */
export const accountRemedy = ({ code, service, user, mine }) =>
  mine ? reconnect(code, service).replace("c", "C") : `Ask ${user} to ${reconnect(code, service)}`;

export const reminder = ({ code, service }) => `Hello! Please ${reconnect(code, service)}: its connection no longer works.`;

/** The two APIs, and what of this page is theirs. */
export const SOURCES = {
  LEADLEX: { name: "LeadLex", what: "Integrations" },
  COMPOSIO: { name: "Composio", what: "Accounts" },
};

/** What is the matter with an API, by its state or by the code of the error that it caused. */
export function troubleOf(state, code) {
  if (state === "RATE_LIMITED" || code === "UPSTREAM_RATE_LIMITED") return { title: "has reached its rate limit", tone: "warn" };
  if (["UNAUTHORIZED"].includes(state) || ["UPSTREAM_UNAUTHORIZED", "UPSTREAM_FORBIDDEN", "UNAUTHENTICATED"].includes(code))
    return { title: "does not accept the workspace’s key", tone: "bad" };
  if (state === "DOWN" || code) return { title: "is not answering", tone: "bad" };
  if (state === "DEGRADED") return { title: "is having trouble answering", tone: "warn" };
  return null;
}

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
