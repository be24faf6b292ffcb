"""`python -m dashboard`: serve the workbench on HOST and PORT, by default http://127.0.0.1:8050."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

from data.environment import read_env_file

if TYPE_CHECKING:
    from dashboard.market.warehouse import Source


def address() -> tuple[str, int]:
    """HOST and PORT of the environment. Raises `ValueError` when PORT is not a port."""
    host, text = os.environ.get("HOST", "").strip() or "127.0.0.1", os.environ.get("PORT", "").strip() or "8050"
    if not text.isdigit() or not 0 < int(text) < 65_536:
        raise ValueError(f"PORT={text}: expected a number from 1 to 65535")
    return host, int(text)


def open_socket(host: str, port: int) -> socket.socket:
    """A bound socket, before anything slow: a port in use is said at once. Raises `OSError`."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":  # elsewhere this option would let two servers share a port
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def main() -> int:
    """Serve until interrupted. Returns the exit code."""
    read_env_file()
    try:
        host, port = address()
        sock = open_socket(host, port)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"Cannot listen on {host}:{port}: {error.strerror}. Another workbench may be running there; "
            f"stop it, or choose another port: PORT={port + 1} python -m dashboard",
            file=sys.stderr,
        )
        return 1
    from waitress import create_server

    from dashboard.app import create_app
    from dashboard.market.warehouse import Warehouse

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    source = Warehouse()
    server = create_server(create_app(source).server, sockets=[sock], threads=4)
    threading.Thread(target=warm_up, args=(source,), daemon=True, name="warm-up").start()
    shown = f"[{host}]" if ":" in host else host
    print(f"Workbench on http://{shown}:{port}", flush=True)
    try:
        server.run()
    except KeyboardInterrupt:
        print()
    return 0


def warm_up(source: Source) -> None:
    """Load the newest snapshot and compile what the first page, what-if and simulation need.

    The engine's kernels are serial and release the interpreter, so pages are answered meanwhile.
    """
    from dashboard.market.state import WhatIf
    from dashboard.market.warehouse import Unavailable
    from dashboard.pages.overview import answers as today
    from dashboard.pages.what_if import answers as shocks
    from dashboard.pages.what_if import outlook

    state = WhatIf(eth=-0.1)
    try:
        book = source.book()
        today.position(book)
        shocks.answer(book, state)
        run = source.run(book.market.snapshot)
        if run is not None:
            outlook.simulate(book, run.scenario, state)
    except Unavailable:
        return  # the pages say what is missing


if __name__ == "__main__":
    sys.exit(main())
