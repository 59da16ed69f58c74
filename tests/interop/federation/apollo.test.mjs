// Apollo Gateway, started by examples/federation.

import { describe } from 'node:test';
import { start } from '../../../examples/federation/apollo.mjs';
import { subgraph } from '../../../examples/federation/people.mjs';
import { testGateway } from './gateway.mjs';

describe('Apollo Gateway', () => {
  testGateway({ start, schema: subgraph, hasRequestIds: false });
});
