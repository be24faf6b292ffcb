"""A populated market for manual use: `python -m tests.node --users 300`. It lives until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from tests.node.harness import running_market
from tests.node.toolchain import ToolchainMissing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.node", description=__doc__)
    parser.add_argument("--users", type=int, default=60, help="accounts to create (default 60)")
    parser.add_argument("--port", type=int, help="loopback port (default: a free one)")
    parser.add_argument("--seed", default="1", help="another seed gives other users")
    parser.add_argument("--vary", action="store_true", help="draw prices and risk parameters from the seed too")
    parser.add_argument("--multicall", action="store_true", help="put an aggregate3 contract at the usual address")
    args = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        with running_market(args.users, args.seed, args.vary, args.port, args.multicall) as market:
            print(f"ETH_RPC_URL={market.url}")
            print(f"AAVE_POOL_ADDRESSES_PROVIDER={market.provider}")
            print(f"# block {market.chain.block}; {dict(market.happened)}; Ctrl-C ends it", flush=True)
            ended.wait()
    except ToolchainMissing as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
