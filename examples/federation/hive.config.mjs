// Configuration of Hive Gateway: the caller's credentials are forwarded.

import { defineConfig } from '@graphql-hive/gateway';
import { credentialsOf } from './caller.mjs';

export const gatewayConfig = defineConfig({
  supergraph: process.env.SUPERGRAPH,
  propagateHeaders: {
    fromClientToSubgraphs: ({ request }) => credentialsOf(Object.fromEntries(request.headers)),
  },
});
