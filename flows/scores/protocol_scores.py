"""Flow `protocol-scores`: how risky a market is to lend to, as a score with its parts and as a chance of loss."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from data import load_market, results
from data.errors import NoResult
from data.store.store import Store
from flows.errors import WrongOption
from flows.pipeline import recorded
from flows.scores import inputs, measuring, parts, principal
from flows.scores.options import ProtocolScoresOptions
from flows.scores.stored import Stored, inputs_seen, read
from risk_core import InputError, code_version
from risk_core.accounts import totals

if TYPE_CHECKING:
    from data.store.reader import Reader
    from risk_core import Market

SOURCE = "scores"
TABLES = ("mart_protocol_score", "mart_protocol_score_part", "mart_principal_loss")


def numbers(option: str, given: Sequence[str]) -> dict[str, float]:
    """Name -> number. Raises `WrongOption` for a name that is given twice."""
    found: dict[str, float] = {}
    for entry in given:
        name, _, number = entry.partition("=")
        if name in found:
            raise WrongOption(f"--{option}: {name} is given twice; give each name one number")
        found[name] = float(number)
    return found


def weights(given: Sequence[str]) -> dict[str, float]:
    """The weight of every part. Raises `WrongOption` for an unknown part, and where they do not sum to 1."""
    chosen = numbers("weights", given)
    unknown = [name for name in chosen if name not in parts.BY_KEY]
    if unknown:
        raise WrongOption(f"--weights: no part is called {unknown[0]!r:.60}; known: {', '.join(parts.BY_KEY)}")
    every = {part.key: part.weight for part in parts.PARTS} | chosen
    total = sum(every.values())
    if abs(total - 1) > 1e-9:
        raise WrongOption(f"--weights: expected a sum of 1 over all parts, found {total:.6g}")
    return every


def run(arguments: ProtocolScoresOptions) -> str:
    """Measure, simulate and store; returns one line.

    Raises `data.errors.NoSnapshot`, `SnapshotIncomplete`, `SnapshotRefused`, and `WrongOption`.
    """
    stated = weights(arguments.weights)
    depth, cover = numbers("depth", arguments.depth), numbers("cover", arguments.cover)
    if empty := [name for name, usd in depth.items() if not usd > 0]:
        raise WrongOption(f"--depth {empty[0]}: expected USD above 0, found 0; leave out what cannot be sold at all")
    with Store.open() as store:
        market = load_market(market=arguments.market)
        for option, symbols in (("depth", depth), ("cover", cover)):
            _require_known(market, option, symbols)
        newest = _newest_run(market)
        options = json.dumps(
            {
                "paths": arguments.paths, "seed": arguments.seed, "weights": stated, "depth": depth, "cover": cover,
                "slug": arguments.slug, "risk_run": newest.run_id if newest else None, "code": code_version(),
                "inputs": inputs_seen(store),
            },
            sort_keys=True,
        )  # fmt: skip
        if arguments.skip_if_stored and _is_stored(store, market, options):
            return f"{market.snapshot.market}: the score of block {market.snapshot.block} is stored: nothing to do"
        with recorded(store, "protocol-scores", arguments.model_dump()) as run:
            stored = read(store, market, newest)
            slugs = (arguments.slug,) if arguments.slug else None
            measured = measuring.measure(
                store, stored, depths=inputs.depths(store, market, depth), cover=inputs.covering(store, market, cover),
                slugs=slugs,
            )  # fmt: skip
            lost = _chances(stored, measured, arguments)
            frames = rows(stored, measured, stated, lost, options)
            at = market.snapshot
            run.write(SOURCE, f"{at.market}:{at.block}", frames, scope={"market": at.market, "block": at.block})
    return said(frames)


def _require_known(market: Market, option: str, symbols: Mapping[str, float]) -> None:
    try:
        market.reserves.spread(option, symbols)
    except InputError as error:
        raise WrongOption(f"--{option}: {error}") from None


def _newest_run(market: Market) -> results.RiskRun | None:
    try:
        return results.latest(market=market.snapshot.market, snapshot_hash=market.snapshot.hash)
    except NoResult:
        return None


def _is_stored(store: Reader, market: Market, options: str) -> bool:
    sql = "SELECT 1 FROM mart_protocol_score WHERE market = ? AND block = ? AND snapshot_hash = ? AND options = ?"
    return bool(store.rows(sql, (market.snapshot.market, market.snapshot.block, market.snapshot.hash, options)))


def _chances(
    stored: Stored, measured: Mapping[str, parts.Measured], asked: ProtocolScoresOptions
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of `mart_principal_loss`; none, and so no letter, without a risk run, debt or principal."""
    if stored.run is None or not stored.supplied_usd > 0 or not stored.debt_usd > 0:
        return []
    cover_usd = float(measured["cover"].figures.get("cover_left_usd", 0.0))
    return principal.chances(
        stored.market, stored.run, stored.supplied_usd, cover_usd, paths=asked.paths, seed=asked.seed
    )


def rows(
    stored: Stored,
    measured: Mapping[str, parts.Measured],
    stated: Mapping[str, float],
    lost: Sequence[Mapping[str, Any]],
    options: str,
) -> dict[str, pd.DataFrame]:
    """The tables of one score."""
    at = stored.market.snapshot
    score, each = parts.scored(measured, stated)
    place = {"market": at.market, "block": at.block}
    collateral, _ = totals(stored.market)
    head = place | {
        "block_time": at.block_time, "score": score.score, "weight_known": min(score.known, 1.0),
        "supplied_usd": stored.supplied_usd, "collateral_usd": float(collateral.sum()),
        "borrowed_usd": stored.debt_usd, "n_accounts": stored.market.n_accounts, "snapshot_hash": at.hash,
        "options": options, "is_synthetic": int(at.synthetic),
    }  # fmt: skip
    made = [
        place | {
            "part": part.key, "place": i, "title": part.title, "says": part.says, "value": measured[part.key].value,
            "unit": part.unit, "points": each[i], "none_at": part.none_at, "full_at": part.full_at,
            "weight": stated[part.key], "used_weight": float(score.used[i]), "missing": measured[part.key].missing,
            "command": measured[part.key].command, "figures": json.dumps(measured[part.key].figures),
            "tables": measured[part.key].tables,
        }
        for i, part in enumerate(parts.PARTS)
    ]  # fmt: skip
    frames = {"mart_protocol_score": pd.DataFrame([head]), "mart_protocol_score_part": pd.DataFrame(made)}
    # Also where there is no letter: one of older options must not remain with this score.
    columns = list(lost[0]) if lost else []
    frames["mart_principal_loss"] = (
        pd.DataFrame([{**place, **row} | {"is_synthetic": int(at.synthetic)} for row in lost])
        if lost
        else pd.DataFrame(columns=columns)
    )
    return frames


def said(frames: Mapping[str, pd.DataFrame]) -> str:
    """One line: the score, unknown parts, and the letter with its interval."""
    head = frames["mart_protocol_score"].iloc[0]
    made = frames["mart_protocol_score_part"]
    missing = made[made["missing"] != ""]["title"]
    score = "no part of the score is known" if pd.isna(head["score"]) else f"score {head['score']:.0f} of 100"
    known = f"; not known, weight shared out: {', '.join(missing)}" if len(missing) else ""
    lost = frames["mart_principal_loss"]
    if not len(lost):
        return f"{head['market']}: {score}{known}; no letter: run `python -m flows risk-scenarios` first"
    first = lost.iloc[0]
    span = first["letter_low"]
    if first["letter_high"] != span:
        span = f"{span} to {first['letter_high']}"
    few = f", {first['n_hits']} of {first['n_paths']:,} paths: few draws" if first["few_draws"] else ""
    return (
        f"{head['market']}: {score}{known}; letter {span}: chance of losing more than 1 % of the principal in a year "
        f"{first['probability_year']:.2%} [{first['low_year']:.2%}, {first['high_year']:.2%}]{few}"
    )
