// Hive Gateway's own configuration: who asks is passed on.

import { defineConfig } from '@graphql-hive/gateway';
import { whoAsks } from './caller.mjs';

export const gatewayConfig = defineConfig({
  supergraph: process.env.SUPERGRAPH,
  propagateHeaders: {
    fromClientToSubgraphs: ({ request }) => whoAsks(Object.fromEntries(request.headers)),
  },
});
