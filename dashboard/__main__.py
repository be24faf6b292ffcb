"""`python -m dashboard`: serve the workbench on HOST and PORT, by default http://127.0.0.1:8050."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

from dashboard.guard import Names
from dashboard.serving import Server, address, open_notice, open_socket
from data.environment import read_env_file
from data.foreign_text import PlainFormatter, safe_print

if TYPE_CHECKING:
    from dashboard.market.page_data import PageData


def main() -> int:
    """Serve until interrupted. Returns the exit code."""
    read_env_file()
    # Before Flask adds a handler of its own: log messages quote damaged rows, whose text is foreign and must be
    # escaped.
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    try:
        host, port = address()
        names = Names.of_environment()
        sock = open_socket(host, port)
    except ValueError as error:
        safe_print(error, file=sys.stderr)
        return 2
    except OSError as error:
        safe_print(
            f"Cannot listen on {host}:{port}: {error.strerror}. Another workbench may be running there; "
            f"stop it, or choose another port: PORT={port + 1} python -m dashboard",
            file=sys.stderr,
        )
        return 1
    # Imported here, not at the top: a port in use is reported at once, and Dash and the engine take 0.8 s to import.
    from dashboard.app import create_app
    from dashboard.market.warehouse import Warehouse

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    source = Warehouse()
    server = Server(create_app(source, names).server, sock)
    threading.Thread(target=warm_up, args=(source,), daemon=True, name="warm-up").start()
    shown = f"[{host}]" if ":" in host else host
    safe_print(f"Workbench on http://{shown}:{port}", flush=True)
    notice = open_notice(host, port)
    if notice:
        safe_print(notice, file=sys.stderr, flush=True)
    try:
        server.run()
    except KeyboardInterrupt:
        safe_print()
    return 0


def warm_up(source: PageData) -> None:
    """Load the newest snapshot and compile what the first page, what-if and simulation need.

    The engine's kernels are serial and release the interpreter, so pages are answered meanwhile.
    """
    # Imported here for the same reason as in `main`.
    from dashboard.market.page_data import Unavailable
    from dashboard.market.state import WhatIf
    from dashboard.pages.overview import answers as today
    from dashboard.pages.what_if import answers as shocks
    from dashboard.pages.what_if import outlook

    state = WhatIf(eth=-0.1)
    try:
        loaded = source.loaded()
        today.position(loaded)
        shocks.outcome(loaded, state)
        run = source.run(loaded.market.snapshot)
        if run is not None:
            outlook.simulate(loaded, run.scenario, state)
    except Unavailable:
        return  # the pages say what is missing
    except Exception:
        # Nobody waits for this thread, so only the log can show that it failed.
        logging.getLogger(__name__).exception("the first market could not be prepared; pages will try again")


if __name__ == "__main__":
    sys.exit(main())
