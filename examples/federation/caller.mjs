// Credentials of callers. Switchboard authorizes by them, so a gateway forwards them. The gateway has its own token to read the
// schema.

const names = ['authorization', 'x-api-key'];

/** The credential headers of a request. */
export const credentialsOf = (headers) => Object.fromEntries(names.filter((name) => headers[name]).map((name) => [name, headers[name]]));

/** The gateway's own credentials to read the schema at the start: `SWITCHBOARD_TOKEN` if it is set. */
export const ownCredentials = () => credentialsOf({ authorization: process.env.SWITCHBOARD_TOKEN && `Bearer ${process.env.SWITCHBOARD_TOKEN}` });
