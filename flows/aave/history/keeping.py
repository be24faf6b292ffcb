"""What a replay knows, as values for JSON, and back: a later process goes on where this one stopped.

    values = kept(replay)                       # after the last log of a block
    replay = restored(json.loads(json.dumps(values)))

A replay that goes on from there gives the same books as one that never stopped.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from flows.aave.history.decoding import Happening
from flows.aave.history.replay import Replay
from flows.aave.history.state import Category, EModeBook, MarketBook, ReserveBook, ReserveState, Token

MADE_ANEW = frozenset({"pool", "configurator", "provider", "revision_of", "_handlers"})
"""Attributes that the constructor sets."""
BETWEEN_LOGS = frozenset({"_updated_in_call", "_lifted", "_transfer"})
"""Attributes that say nothing once a transaction has ended."""
PLAIN = frozenset(
    {"revision", "flags", "categories", "flash_premium", "flash_to_protocol", "bridge_to_protocol", "handled", "checks",
     "_oracle", "_decimals", "_strategies", "_answers", "_premium_on_accrued", "_kinds"}
)  # fmt: skip
"""Attributes of values that JSON has itself."""
BY_PAIR = frozenset({"_rates", "_sources", "_whole"})
"""Attributes with keys of two parts."""
OTHERS = frozenset({"upgrades", "reserves", "tokens", "emodes", "_discounting", "_here"})
TOKENS = ("atoken", "debt_token")
RULES = ("arithmetic", "configuration", "decoding", "keeping", "ledger", "pool", "replay", "state", "tokens")
"""Modules of this folder on which the books depend."""


@functools.cache
def rules_digest() -> str:
    """SHA-256 of the rules' source: what other rules have computed is not carried on."""
    digest = hashlib.sha256()
    for name in RULES:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def kept(replay: Replay) -> dict[str, Any]:
    """The state after the last log of a block. Raises `HistoryError` where that log needs another one after it."""
    replay.require_whole()
    state = vars(replay)
    unknown = state.keys() - MADE_ANEW - BETWEEN_LOGS - PLAIN - BY_PAIR - OTHERS
    if unknown:
        raise TypeError(f"kept: the replay has attributes that are not kept: {sorted(unknown)}")
    return {
        "made": [replay.pool, replay.configurator, replay.revision_of, replay.provider],
        **{name: state[name] for name in PLAIN},
        **{name: [[*key, value] for key, value in state[name].items()] for name in BY_PAIR},
        "upgrades": replay.upgrades,
        "tokens": [_fields(token) for token in replay.tokens.values()],
        "reserves": [
            _fields(r) | {name: getattr(r, name).address for name in TOKENS} for r in replay.reserves.values()
        ],
        "emodes": [[number, asdict(category)] for number, category in replay.emodes.items()],
        "_discounting": sorted(state["_discounting"]),
        "_here": list(state["_here"][:6]),
    }


def restored(values: Mapping[str, Any]) -> Replay:
    """The replay whose state `kept` gave. Raises `KeyError`, `TypeError` or `ValueError` for other values."""
    pool, configurator, revision_of, provider = values["made"]
    replay = Replay(pool, configurator, revision_of, provider=provider)
    state = vars(replay)
    for name in PLAIN:
        state[name] = values[name]
    for name in BY_PAIR:
        state[name] = {(one, other): _hashed(value) for one, other, value in values[name]}
    replay.upgrades = [(block, revision) for block, revision in values["upgrades"]]
    replay.tokens = {row["address"]: Token(**{**row, "transfer": tuple(row["transfer"])}) for row in values["tokens"]}
    replay.reserves = {
        row["asset"]: ReserveState(
            **{**row, "rates": _hashed(row["rates"]), **{name: replay.tokens[row[name]] for name in TOKENS}}
        )
        for row in values["reserves"]
    }
    replay.emodes = {number: Category(**terms) for number, terms in values["emodes"]}
    state["_discounting"] = set(values["_discounting"])
    state["_here"] = Happening._make([*values["_here"], ()])
    return replay


def book_of(values: Mapping[str, Any]) -> MarketBook:
    """The books that `dataclasses.asdict` and JSON made of a `MarketBook`. Raises like `restored`."""
    return MarketBook(
        **{
            **values,
            "reserves": tuple(ReserveBook(**{**row, "rates": _hashed(row["rates"])}) for row in values["reserves"]),
            "emodes": tuple(EModeBook(**row) for row in values["emodes"]),
            "holdings": {
                account: {int(number): (supply, debt) for number, (supply, debt) in held.items()}
                for account, held in values["holdings"].items()
            },
        }
    )


def changes(before: MarketBook | None, book: MarketBook) -> dict[str, Any]:
    """A book as values for JSON; of its accounts only those that differ from the book `before`, a missing one None.

    `after_changes` makes the book of them again.
    """
    plain = {
        field.name: getattr(book, field.name)
        for field in fields(MarketBook)
        if field.name not in ("reserves", "emodes", *BY_ACCOUNT)
    }
    return {
        **plain,
        "reserves": [asdict(r) for r in book.reserves],
        "emodes": [asdict(e) for e in book.emodes],
        **{name: _differing(getattr(before, name) if before else {}, getattr(book, name)) for name in BY_ACCOUNT},
    }


def after_changes(before: MarketBook | None, values: Mapping[str, Any]) -> MarketBook:
    """The book from the book before it and what `changes` gave. Raises like `restored`."""
    whole = dict(values)
    for name in BY_ACCOUNT:
        merged = {**(getattr(before, name) if before else {}), **values[name]}
        whole[name] = {account: value for account, value in merged.items() if value is not None}
    return book_of(whole)


BY_ACCOUNT = ("holdings", "flags", "categories")
"""Fields of `MarketBook` with an entry for each account."""


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    changed = {account: value for account, value in now.items() if before.get(account) != value}
    return changed | {account: None for account in before if account not in now}


def _fields(record: Token | ReserveState) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _hashed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
