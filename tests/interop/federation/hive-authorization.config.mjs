// Configuration of Hive Gateway that enforces `@authenticated` and `@requiresScopes`. A real one verifies a token; here the
// `authorization` header is the list of scopes.

const scopesOf = ({ request }) => request.headers.get('authorization');

export const gatewayConfig = {
  supergraph: process.env.SUPERGRAPH,
  genericAuth: {
    mode: 'protect-granular',
    rejectUnauthenticated: false,
    resolveUserFn: (context) => scopesOf(context) && { scopes: scopesOf(context).split(' ') },
    extractScopes: (user) => user?.scopes ?? [],
  },
};
