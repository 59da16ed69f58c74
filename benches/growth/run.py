#!/usr/bin/env python3
"""How CPU, memory and upstream calls grow with rows, accounts, tenants and subscribers.

    benches/growth/run.py BINARY [--quick]

Starts `switchboard sandbox` and `switchboard serve` on loopback for each row of the tables, and prints the tables as
Markdown. Without --quick it also writes them, and a plot, into docs. CPU is user and system time of the `serve` process
from /proc, so a busy machine changes it little; memory is its resident set.
"""
import asyncio
import json
import os
import pathlib
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")
LEADLEX_PATH = "/functions/v1/api-gateway"
START, END = "<!-- benches/growth/run.py writes this -->", "<!-- until here -->"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url, headers=None):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=60) as response:
        return response.read().decode()


def wait_for(url, process):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"growth: {process.args} ended with {process.returncode}")
        try:
            return get(url)
        except OSError:
            time.sleep(0.05)
    sys.exit(f"growth: {url} did not answer within 30 s")


class Process:
    """A child process that ends with this script."""

    def __init__(self, arguments, settings):
        environment = {"PATH": os.environ["PATH"], **settings}
        self.log = tempfile.TemporaryFile()
        self.child = subprocess.Popen(arguments, env=environment, stdout=self.log, stderr=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait(30)


class Sandbox(Process):
    """Both emulated APIs."""

    def __init__(self, binary, accounts):
        self.port = free_port()
        listen = f"127.0.0.1:{self.port}"
        plans = ["--leadlex-plan", "unmetered", "--composio-plan", "enterprise"]
        super().__init__([binary, "sandbox", "--listen", listen, "--accounts", str(accounts), *plans], {})
        wait_for(f"http://{listen}/", self.child)


class Server(Process):
    """A `serve` over the upstreams at `port`."""

    def __init__(self, binary, port, settings=None):
        self.port, self.ops = free_port(), free_port()
        super().__init__([binary, "serve"], {
            "SWITCHBOARD__HTTP__LISTEN": f"127.0.0.1:{self.port}",
            "SWITCHBOARD__OPS__LISTEN": f"127.0.0.1:{self.ops}",
            "SWITCHBOARD__UPSTREAM__LEADLEX__BASE_URL": f"http://127.0.0.1:{port}{LEADLEX_PATH}",
            "SWITCHBOARD__UPSTREAM__COMPOSIO__BASE_URL": f"http://127.0.0.1:{port}",
            "SWITCHBOARD__UPSTREAM__LEADLEX__API_KEY": "wbk_sandbox_a",
            "SWITCHBOARD__UPSTREAM__COMPOSIO__API_KEY": "ak_sandbox_a",
            "SWITCHBOARD__LOG__LEVEL": "warn",
            **(settings or {}),
        })
        wait_for(f"http://127.0.0.1:{self.ops}/live", self.child)

    def cpu(self):
        """CPU seconds so far."""
        fields = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self):
        """Resident memory in MB."""
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def calls(self):
        """Upstream calls so far: LeadLex, Composio."""
        metrics = get(f"http://127.0.0.1:{self.ops}/metrics")
        found = re.findall(r'^switchboard_upstream_calls_total\{([^}]*)\} (\S+)', metrics, re.M)
        of = lambda name: sum(int(float(value)) for labels, value in found if f'"{name}"' in labels)
        return of("leadlex"), of("composio")

    def query(self, query, headers=None):
        body = json.dumps({"query": query}).encode()
        headers = {"content-type": "application/json", **(headers or {})}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.loads(response.read())
        if "errors" in answer:
            sys.exit(f"growth: {query[:200]}: {answer['errors'][:1]}")
        return answer["data"]


FIELDS = "id userId status toolkit { slug } createdAt"
NO_CACHE = {"SWITCHBOARD__CACHE__ACCOUNTS_TTL_MS": "0", "SWITCHBOARD__CACHE__PROVIDERS_TTL_MS": "0"}

MANY_CLIENTS = {"SWITCHBOARD__SERVER__CONNECTIONS_MAX": "12000"}


def cost(server, query, repeats):
    """CPU milliseconds and calls of one request, after a first one that warms the process up."""
    server.query(query)
    cpu, calls = server.cpu(), server.calls()
    for number in range(repeats):
        # A text of its own each time, so that no finished response is reused.
        server.query(f"{query} # {number}")
    after = server.calls()
    per = lambda index: f"{(after[index] - calls[index]) / repeats:g}"
    return (server.cpu() - cpu) * 1000 / repeats, f"{per(0)} + {per(1)}"


def rows(binary, quick):
    """Accounts in a response, read from cached pages and read from Composio."""
    table = []
    with Sandbox(binary, 20_000) as sandbox:
        for count in [1, 10, 100, 1_000] if quick else [1, 10, 100, 1_000, 10_000]:
            row = [count]
            for settings in [{}, NO_CACHE]:
                with Server(binary, sandbox.port, settings) as server:
                    if count <= 100:
                        query = f"{{ connectedAccounts(first: {count}) {{ nodes {{ {FIELDS} }} }} }}"
                        row += cost(server, query, 50 if quick else 400)
                    else:
                        row += walk(server, count // 100, 1 if quick else 3)
                    memory = server.memory()
            table.append((*row, memory))
    return table


def walk(server, pages, repeats):
    """CPU milliseconds and calls to read `pages` pages of 100, one after another."""
    def read():
        after = ""
        for _ in range(pages):
            data = server.query(
                f"{{ connectedAccounts(first: 100{after}) {{ nodes {{ {FIELDS} }} pageInfo {{ endCursor }} }} }}")
            after = f', after: "{data["connectedAccounts"]["pageInfo"]["endCursor"]}"'
    read()
    cpu, calls = server.cpu(), server.calls()
    for _ in range(repeats):
        read()
    after = server.calls()
    per = lambda index: f"{(after[index] - calls[index]) / repeats:g}"
    return (server.cpu() - cpu) * 1000 / repeats, f"{per(0)} + {per(1)}"


def accounts(binary, quick):
    """Accounts at Composio; the query is that of the hot row of the comparison."""
    query = f"{{ providers(first: 20) {{ nodes {{ name connectedAccounts(first: 10) {{ nodes {{ {FIELDS} }} }} }} }} }}"
    table = []
    for count in [100, 10_000] if quick else [100, 1_000, 10_000, 100_000, 1_000_000]:
        with Sandbox(binary, count) as sandbox, Server(binary, sandbox.port) as server:
            server.query(query)
            calls = server.calls()
            cpu, _ = cost(server, query, 50 if quick else 400)
            table.append((count, f"{calls[0]} + {calls[1]}", cpu, server.memory()))
    return table


async def replay(upstream):
    """An HTTP server that gives every key the responses that the sandbox gives to its first tenant."""
    recorded = {}

    def ask(target):
        key = {"authorization": "Bearer wbk_sandbox_a", "x-api-key": "ak_sandbox_a"}
        return get(f"http://127.0.0.1:{upstream}{target}", key).encode()

    async def serve(reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                target = head.split(" ", 2)[1]
                if target not in recorded:
                    recorded[target] = await asyncio.to_thread(ask, target)
                body = recorded[target]
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def tenants(binary, quick):
    """Tenants, each with its own pair of keys, its own cache entries and its own calls."""
    query = f"{{ providers(first: 20) {{ nodes {{ name connectedAccounts(first: 10) {{ nodes {{ {FIELDS} }} }} }} }} }}"

    async def measure(count):
        with Sandbox(binary, 10_000) as sandbox:
            upstreams = await replay(sandbox.port)
            settings = {"SWITCHBOARD__AUTH__MODE": "passthrough"}
            port = upstreams.sockets[0].getsockname()[1]
            with Server(binary, port, settings) as server:
                headers = [{"authorization": f"Bearer wbk_t{i}", "x-api-key": f"ak_t{i}"} for i in range(count)]

                def read(number):
                    for header in headers:
                        server.query(f"{query} # {number}", header)
                await asyncio.to_thread(read, 0)
                calls, cpu = server.calls(), server.cpu()
                repeats = max(400 // count, 1)
                for number in range(repeats):
                    await asyncio.to_thread(read, number + 1)
                spent = (server.cpu() - cpu) * 1000 / repeats / count
                row = (count, f"{calls[0]} + {calls[1]}", spent, server.memory())
            upstreams.close()
            return row
    return [asyncio.run(measure(count)) for count in ([1, 10] if quick else [1, 10, 100, 1_000])]


def subscribers(binary, quick):
    """Subscribers to `connectedAccountChanged` by server-sent events, all of one tenant, while nothing changes."""
    async def measure(count):
        with Sandbox(binary, 10_000) as sandbox, Server(binary, sandbox.port, MANY_CLIENTS) as server:
            idle, cpu = server.memory(), server.cpu()
            body = json.dumps({"query": "subscription { connectedAccountChanged { connectedAccount { id status } } }"})
            head = (f"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
                    f"accept: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n{body}").encode()
            open_streams = []
            for _ in range(count):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(head)
                status = await reader.readline()
                if b" 200 " not in status:
                    sys.exit(f"growth: subscriber {len(open_streams)}: {status}")
                open_streams.append((reader, writer))
            opened = (server.cpu() - cpu) * 1000 / count
            calls, cpu, begun = server.calls(), server.cpu(), time.monotonic()
            await asyncio.sleep(5 if quick else 60)
            minutes = (time.monotonic() - begun) / 60
            after = server.calls()
            per_minute = f"{(after[0] - calls[0]) / minutes:.0f} + {(after[1] - calls[1]) / minutes:.0f}"
            row = (count, per_minute, opened, (server.cpu() - cpu) * 1000 / minutes, server.memory(), server.memory() - idle)
            for _, writer in open_streams:
                writer.close()
            return row
    return [asyncio.run(measure(count)) for count in ([1, 10] if quick else [1, 10, 100, 1_000, 10_000])]


def number(value):
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def markdown(titles, table):
    lines = ["| " + " | ".join(titles) + " |", "|" + "---:|" * len(titles)]
    return "\n".join(lines + ["| " + " | ".join(number(value) for value in row) + " |" for row in table])


PARTS = [
    (rows, "Accounts in a response", [
        "accounts", "CPU ms, cached", "calls", "CPU ms, not cached", "calls", "memory, MB"],
     "Above 100, the list is read in pages of 100; CPU is that of all pages."),
    (accounts, "Accounts at Composio", ["accounts", "calls of the first request", "CPU ms", "memory, MB"],
     "20 integrations with 10 accounts each; CPU is that of a later request with a new text over cached rows."),
    (tenants, "Tenants", ["tenants", "calls of their first requests", "CPU ms", "memory, MB"],
     "The same query by each tenant; CPU is that of one later request with a new text."),
    (subscribers, "Subscribers", [
        "subscribers", "calls a minute", "CPU ms to open one", "CPU ms a minute, all", "memory, MB", "MB more than idle"],
     "Server-sent events of one tenant while nothing changes. `server.connections_max` is 12,000 here; 4,096 is its default."),
]


def plot(tables):
    """An SVG with one panel a table: memory in MB over the first column, both logarithmic."""
    import math
    width, height, panels = 240, 200, []
    for index, (title, table) in enumerate(tables):
        memory = -2 if title == "Subscribers" else -1
        points = [(math.log10(row[0]), math.log10(row[memory])) for row in table]
        right, top = max(x for x, _ in points) or 1, 3.5
        place = lambda x, y: (40 + x / right * (width - 70), height - 40 - y / top * (height - 80))
        dots = [place(x, y) for x, y in points]
        line = " ".join(f"{x:.0f},{y:.0f}" for x, y in dots)
        ticks = "".join(
            f'<text x="{place(x, 0)[0]:.0f}" y="{height - 22}" text-anchor="middle">{row[0]:,}</text>'
            for (x, _), row in zip(points, table))
        levels = "".join(
            f'<text x="34" y="{place(0, y)[1] + 3:.0f}" text-anchor="end">{10 ** y}</text>'
            f'<path d="M40 {place(0, y)[1]:.0f}H{width - 20}" stroke="#ddd"/>' for y in range(4))
        circles = "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="#2563eb"/>' for x, y in dots)
        panels.append(
            f'<g transform="translate({index * width} 0)"><text x="40" y="20" font-size="12">{title}</text>'
            f'{levels}{ticks}<polyline points="{line}" fill="none" stroke="#2563eb"/>{circles}</g>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width * len(panels)} {height}" '
            f'font-family="sans-serif" font-size="9"><rect width="100%" height="100%" fill="#fff"/>'
            f'{"".join(panels)}<text x="8" y="{height - 6}">resident memory, MB; both axes logarithmic</text></svg>\n')


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--quick"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    quick, binary = "--quick" in sys.argv, os.path.abspath(arguments[0])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    texts, tables = [f"Measured on {time.strftime('%F', time.gmtime())} at commit {commit.strip()}."], []
    for measure, title, titles, note in PARTS:
        table = measure(binary, quick)
        tables.append((title, table))
        texts.append(f"### {title}\n\n{markdown(titles, table)}\n\n{note}")
        print(texts[-1], "\n", flush=True)
    if quick:
        return
    texts.insert(1, "![Resident memory over accounts in a response, accounts at Composio, tenants and subscribers](growth.svg)")
    (ROOT / "docs/growth.svg").write_text(plot(tables))
    page = ROOT / "docs/benchmarks.md"
    before, rest = page.read_text().split(START)
    text = before.replace(" It\nwrites its tables and a plot here; they have not been measured on a release build yet.", "")
    page.write_text(text + START + "\n" + "\n\n".join(texts) + "\n" + END + rest.split(END, 1)[1])


if __name__ == "__main__":
    main()
