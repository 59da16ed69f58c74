"""Sends one request with PyPI composio-client and prints what it saw, for composio-python.test.mjs and actions.test.mjs.

Reads lines of JSON from stdin, {"url", "params"?, "headers"?, "key"?, "retrieve"?, "write"?}, and answers each with a
line. "write" is a list: the method of the client, its account, and its arguments.
"""

import json
import sys

from composio_client import APIStatusError, Composio


def write(client, method, account, arguments):
    """Calls a method that changes an account, or client.link.create."""
    if method == "link":
        return client.link.create(**arguments)
    return getattr(client.connected_accounts, method)(account, **arguments)


def see(question):
    client = Composio(
        api_key=question.get("key", "ak_sandbox_a"),
        base_url=question["url"],
        default_headers=question.get("headers"),
    )
    try:
        if "retrieve" in question:
            account = client.connected_accounts.retrieve(question["retrieve"])
            return {"one": account.model_dump(mode="json", warnings=False)}
        if "write" in question:
            return {"written": write(client, *question["write"]).model_dump(mode="json", warnings=False)}
        page = client.connected_accounts.list(**question["params"])
        # Without warnings: the client accepts enum values that its version does not know, and warns about each.
        return {"page": page.model_dump(mode="json", warnings=False)}
    except APIStatusError as error:
        return {"error": {"status": error.status_code, "kind": type(error).__name__, "body": error.body}}


for line in sys.stdin:
    print(json.dumps(see(json.loads(line))), flush=True)
