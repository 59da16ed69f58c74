#!/usr/bin/env python3
"""Share of requests that the response cache answers, in a mixed load under memory pressure.

    benches/growth/hit_rate.py BINARY

Four of five requests repeat one of 40 operations; every fifth is new. The caches have 8 MiB in all, which the new
operations fill. At best 80 % are answered from the cache. Takes about a minute.
"""
import random
import re
import sys

from run import FIELDS, Sandbox, Server, get

USERS = 1250
REPEATED = 40
WARM_UP, MEASURED = 1_000, 2_000
SETTINGS = {
    "SWITCHBOARD__CACHE__LIMIT_BYTES": str(8 * 1024 * 1024),
    "SWITCHBOARD__CACHE__ACCOUNTS_TTL_MS": "3600000",
    "SWITCHBOARD__CACHE__PROVIDERS_TTL_MS": "3600000",
}


def operation(number):
    """The first 20 accounts of three users, in a combination of its own for each number."""
    one, step = number % USERS, 1 + number // USERS % 400
    users = ", ".join(f'"user_{user % USERS}"' for user in (one, one + step, one + USERS // 2))
    return f"{{ connectedAccounts(first: 20, filter: {{ userIds: [{users}] }}) {{ nodes {{ {FIELDS} }} }} }}"


def responses(server):
    """Responses so far, by source."""
    metrics = get(f"http://127.0.0.1:{server.ops}/metrics")
    found = re.findall(r'^switchboard_operation_responses_total\{source="(\w+)"\} (\S+)', metrics, re.M)
    return {source: float(count) for source, count in found}


def main(binary):
    choose = random.Random(7)
    with Sandbox(binary, 10_000) as sandbox, Server(binary, sandbox.port, SETTINGS) as server:
        for number in list(range(REPEATED)) * 2:
            server.query(operation(number))
        new = REPEATED
        before = {}
        for request in range(WARM_UP + MEASURED):
            if request == WARM_UP:
                before = responses(server)
            if choose.random() < 0.8:
                server.query(operation(choose.randrange(REPEATED)))
            else:
                server.query(operation(new))
                new += 1
        counts = {source: count - before[source] for source, count in responses(server).items()}
        print(f"{counts['cached'] / sum(counts.values()):.1%} of {MEASURED} requests from the response cache")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
