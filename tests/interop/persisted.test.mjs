// Automatic persisted queries with Apollo Client and urql, by POST and by GET.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql as apollo } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { Client, fetchExchange, gql as urql } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';

import { start } from './support.mjs';

const sha256 = async (text) => createHash('sha256').update(text).digest('hex');

/** A fetch that records each request: its method, and whether the document was sent. */
function recorded() {
  const asked = [];
  const recording = async (url, options = {}) => {
    const method = options.method ?? 'GET';
    const request = method === 'GET'
      ? Object.fromEntries(new URL(url).searchParams)
      : JSON.parse(options.body);
    asked.push(`${method} ${request.query ? 'document' : 'hash'}`);
    return fetch(url, options);
  };
  return { asked, fetch: recording };
}

describe('automatic persisted queries', () => {
  let demo, url;
  before(async () => {
    demo = await start('demo', '--listen', '127.0.0.1:0');
    url = new URL('graphql', demo.url).href;
  });
  after(() => demo?.stop());

  for (const useGETForHashedQueries of [false, true]) {
    const hashed = useGETForHashedQueries ? 'GET' : 'POST';
    it(`Apollo Client sends a hash by ${hashed}, registers the document once, and sends the hash again`, async () => {
      const { asked, fetch } = recorded();
      const link = ApolloLink.from([
        new PersistedQueryLink({ sha256, useGETForHashedQueries }),
        new HttpLink({ uri: url, fetch }),
      ]);
      const client = new ApolloClient({ link, cache: new InMemoryCache() });
      const query = apollo`query By${hashed}($first: Int) { providers(first: $first) { totalCount } }`;
      for (const first of [1, 2]) {
        const { data } = await client.query({ query, variables: { first } });
        assert.ok(data.providers.totalCount > 0);
      }
      client.stop();
      assert.deepEqual(asked, [`${hashed} hash`, 'POST document', `${hashed} hash`]);
    });

    it(`urql sends a hash by ${hashed}, registers the document once, and sends the hash again`, async () => {
      const { asked, fetch } = recorded();
      const client = new Client({
        url,
        fetch,
        preferGetMethod: false,
        exchanges: [persistedExchange({ preferGetForPersistedQueries: useGETForHashedQueries ? 'force' : false }), fetchExchange],
      });
      const query = urql`query UrqlBy${hashed}($first: Int) { providers(first: $first) { totalCount } }`;
      for (const first of [1, 2]) {
        const { data, error } = await client.query(query, { first }).toPromise();
        assert.equal(error, undefined);
        assert.ok(data.providers.totalCount > 0);
      }
      assert.deepEqual(asked, [`${hashed} hash`, `${hashed} document`, `${hashed} hash`]);
    });
  }
});
