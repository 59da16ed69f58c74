// What every released Composio client must see of the sandbox, in any language: requests, and assertions on the responses. A client
// is a function from a request to its result:
//
//   { params, headers?, key?, retrieve? } -> { page | one | error }
//
// `error` is { status, kind, body }: the status, the name of the client's exception class, the parsed body.

import assert from 'node:assert/strict';

const at = (item, path) => path.split('.').reduce((value, field) => value?.[field], item);
const values = (page, path) => [...new Set(page.items.map((item) => at(item, path)))].sort();

const FILTERS = [
  [{ toolkit_slugs: ['slack', 'gmail'] }, 'toolkit.slug', ['gmail', 'slack']],
  [{ statuses: ['ACTIVE', 'EXPIRED'] }, 'status', ['ACTIVE', 'EXPIRED']],
  [{ user_ids: ['user_0', 'user_1'] }, 'user_id', ['user_0', 'user_1']],
  [{ auth_config_ids: ['ac_gmail', 'ac_slack'] }, 'auth_config.id', ['ac_gmail', 'ac_slack']],
  [{ account_type: 'SHARED' }, 'experimental.account_type', ['SHARED']],
];

/** Declares the tests of one client with `it`. `sandbox` returns the running sandbox, `see` is the client. */
export function claims(it, sandbox, see) {
  const list = async (params) => {
    const seen = await see({ params });
    assert.ok(seen.page, JSON.stringify(seen.error));
    return seen.page;
  };

  it('applies every filter', async () => {
    for (const [filter, path, expected] of FILTERS) {
      assert.deepEqual(values(await list({ ...filter, limit: 100 }), path), expected, JSON.stringify(filter));
    }
    const ids = (await list({ limit: 3 })).items.map((item) => item.id);
    const found = await list({ connected_account_ids: ids });
    assert.deepEqual(found.items.map((item) => item.id), ids);
    const all = { toolkit_slugs: ['gmail'], statuses: ['ACTIVE'], auth_config_ids: ['ac_gmail'], limit: 2 };
    assert.equal((await list(all)).items.length, 2);
  });

  it('treats null and an empty list as not set', async () => {
    const expected = await list({ limit: 20 });
    assert.deepEqual(await list({ toolkit_slugs: null, user_ids: [], cursor: null, limit: null }), expected);
  });

  it('orders both ways', async () => {
    for (const field of ['created_at', 'updated_at']) {
      const page = await list({ order_by: field, order_direction: 'asc', limit: 100 });
      const times = page.items.map((item) => item[field]);
      assert.deepEqual(times, [...times].sort());
    }
  });

  it('pages over three pages and returns each account once', async () => {
    const question = { user_ids: ['user_2', 'user_3'], limit: 6 };
    const [seen, pages] = [[], []];
    let cursor;
    do {
      const page = await list(cursor ? { ...question, cursor } : question);
      pages.push(page.items.length);
      seen.push(...page.items.map((item) => item.id));
      assert.equal(page.total_items, 17);
      cursor = page.next_cursor;
    } while (cursor);
    assert.deepEqual(pages, [6, 6, 5]);
    assert.equal(new Set(seen).size, 17);
  });

  it('reads one account', async () => {
    const [{ id }] = (await list({ limit: 1 })).items;
    assert.equal((await see({ retrieve: id })).one.id, id);
  });

  it('understands the error envelope', async () => {
    const questions = [
      [{ params: { statuses: ['DEAD'] } }, 400, 'BadRequestError'],
      [{ params: { cursor: 'bogus' } }, 400, 'BadRequestError'],
      [{ params: {}, key: 'ak_wrong' }, 401, 'AuthenticationError'],
      [{ retrieve: 'ca_missing' }, 404, 'NotFoundError'],
      [{ params: {}, headers: { 'X-Emulate': 'status=422; times=-1' } }, 422, 'UnprocessableEntityError'],
      [{ params: {}, headers: { 'X-Emulate': 'status=500; times=-1' } }, 500, 'InternalServerError'],
    ];
    for (const [question, status, kind] of questions) {
      const { error } = await see(question);
      assert.deepEqual([error?.status, error?.kind], [status, kind], JSON.stringify(question));
      const envelope = error.body.error;
      assert.equal(envelope.status, status);
      assert.equal(typeof envelope.code, 'number');
      for (const field of ['message', 'slug', 'request_id']) assert.equal(typeof envelope[field], 'string');
    }
  });

  it('retries a 429', async () => {
    await sandbox().requests();
    const fault = `status=429; times=1; retry-after=1; shape=documented; key=${crypto.randomUUID()}`;
    const { page } = await see({ params: { limit: 1 }, headers: { 'X-Emulate': fault } });
    assert.equal(page.items.length, 1);
    const asked = await sandbox().requests();
    const tries = asked.map((request) => new Map(request.headers).get('x-stainless-retry-count'));
    assert.deepEqual(tries, ['0', '1']);
  });

  it('gives up on an endless 429', async () => {
    const fault = 'status=429; times=-1; retry-after=1; shape=documented';
    const { error } = await see({ params: {}, headers: { 'X-Emulate': fault } });
    assert.deepEqual([error.status, error.kind], [429, 'RateLimitError']);
    assert.match(error.body.message, /^Rate limit exceeded/);
  });
}
