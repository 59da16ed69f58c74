// Who asks. Switchboard decides by it what they may see, so whatever stands before it passes it on, and has a token of
// its own to be told the schema.

const names = ['authorization', 'x-api-key'];

/** Of a request's headers those that tell who asks. */
export const whoAsks = (headers) => Object.fromEntries(names.filter((name) => headers[name]).map((name) => [name, headers[name]]));

/** As whom the schema is read at the start: by `SWITCHBOARD_TOKEN`, where Switchboard asks for one. */
export const ourselves = () => whoAsks({ authorization: process.env.SWITCHBOARD_TOKEN && `Bearer ${process.env.SWITCHBOARD_TOKEN}` });
