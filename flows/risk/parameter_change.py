"""Flow `parameter-change`: what a proposed change of risk parameters does, before anybody votes on it.

Exact, every account: who becomes liquidatable at once, how much is repaid, whom to warn. And the difference of the
day's figures, both markets simulated on the same paths with the calibration of `risk-scenarios`. The change is stated
(`--set`), or read from the calls of a queued payload (`--payload`, `--calls`).
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from data import load_market
from data.payloads import Payload, UndecodablePayload, UnknownCall, decoded
from data.store import Store
from flows.aave import address_book
from flows.errors import WrongOption
from flows.pipeline import recorded
from flows.risk.options import EXAMPLE, ParameterChangeOptions
from flows.risk.report import amount
from flows.risk.risk_scenarios import LOOKS_AHEAD, calibrated, save_calibration
from risk_core import InputError, Market, code_version
from risk_core.proposals import Proposal, compare

SOURCE = "parameter-change"
LABELS = {
    "lar": "Liquidations at risk, debt repaid", "var": "Deficit, value at risk", "es": "Deficit, expected shortfall",
    "mean": "Mean debt repaid",
}  # fmt: skip
SHOWN = 10
"""Accounts that the report names; the tables hold all of them."""


def run(arguments: ParameterChangeOptions) -> str:
    """Compare, store and report. Raises `WrongOption`, and what `risk-scenarios` raises of snapshot and prices."""
    queued = arguments.payload is not None or arguments.calls is not None
    stated = {} if queued else parsed(arguments.change)
    market = load_market(arguments.block, arguments.market)
    payload = read_payload(arguments, market) if queued else None
    changes = payload.changes if payload else stated
    with Store.open() as store:
        calibration = calibrated(store, market, arguments.law, look_ahead=arguments.allow_look_ahead)
        ahead = calibration.inputs.looks_ahead
        name = f"parameters-{arguments.horizon_hours:g}h{LOOKS_AHEAD if ahead else ''}"
        horizon = timedelta(hours=arguments.horizon_hours)
        scenario = calibration.scenario(name, horizon, arguments.steps, market.snapshot.block_time)
        try:
            compare(market, changes)  # what is wrong with a change is said before the run
        except InputError as error:
            raise WrongOption(f"{'--payload' if payload else '--set'}: {error}") from None
        given = dict(arguments) | {"payload": str(arguments.payload or ""), "set": changes}
        with recorded(store, "parameter-change", given) as run:
            with tqdm(
                total=2 * arguments.paths, desc="simulating before and after", unit="path", unit_scale=True
            ) as bar:
                found = compare(
                    market, changes, scenario, arguments.paths, arguments.seed, warn_below=arguments.warn_below,
                    progress=lambda done, total: bar.update(done - bar.n),
                )  # fmt: skip
            passport = {
                "market": market.snapshot.market,
                "block": market.snapshot.block,
                "block_time": market.snapshot.block_time,
                "changes": json.dumps(dict(sorted(changes.items()))),
                "seed": arguments.seed,
                "law": arguments.law,
                "calibration_id": calibration.inputs.id,
                "code_version": code_version(),
                "looks_ahead": int(ahead),
                "is_synthetic": int(market.snapshot.synthetic),
            }
            asked = [
                market.snapshot.hash,
                arguments.paths,
                arguments.steps,
                horizon.total_seconds(),
                arguments.warn_below,
            ]
            digest = hashlib.sha256(json.dumps([passport, asked], sort_keys=True).encode()).hexdigest()
            save_calibration(run, calibration, market)
            tables = frames(found, passport | {"proposal": digest}, arguments.paths, round(horizon.total_seconds()))
            run.write(SOURCE, digest, tables, scope={"proposal": digest})
    head = [] if payload is None else described(payload, configurator_of(arguments.configurator, market) is not None)
    if arguments.executes_at is not None:
        head.append(countdown(arguments.executes_at, int(time.time())))
    return "\n".join([*head, *report(found, calibration.notes, arguments.horizon_hours)])


def read_payload(arguments: ParameterChangeOptions, market: Market) -> Payload:
    """The changes of `--payload` or `--calls`. Raises `WrongOption` for what cannot be read or decoded."""
    option, text = "--calls", arguments.calls or ""
    if arguments.payload is not None:
        option = "--payload"
        try:
            text = arguments.payload.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise WrongOption(f"--payload: {arguments.payload} cannot be read: {error}") from None
    configurator = configurator_of(arguments.configurator, market)
    try:
        return decoded(text, market, configurator=configurator, skip_unknown=arguments.skip_unknown)
    except UnknownCall as error:
        raise WrongOption(f"{option}: {error}; --skip-unknown leaves it out") from None
    except UndecodablePayload as error:
        raise WrongOption(f"{option}: {error}") from None


def configurator_of(given: str | None, market: Market) -> str | None:
    """The contract that a payload's calls must go to: as given, else the address book's for a market that is in it.

    Raises `WrongOption` for what is no address.
    """
    if given is not None:
        if not re.fullmatch(r"0x[0-9a-fA-F]{40}", given):
            raise WrongOption(f"--configurator: expected 0x and 40 hex digits, found {given!r:.60}")
        return given.lower()
    at = market.snapshot
    known = (m for m in address_book.markets() if m.name == at.market and m.chain_id == at.chain_id)
    return next((m.configurator for m in known if m.configurator), None)


def described(payload: Payload, checked: bool) -> list[str]:
    """What was read of a payload, in lines of text. checked: whether the target is known to be the configurator."""
    target = "the market's configurator" if checked else "the address book does not have the market's configurator"
    n = len(payload.calls)
    lines = [f"{n:,} call{'s' if n != 1 else ''} to {payload.to} ({target})"]
    lines += [
        f"  call {one.number}: {one.function.partition('(')[0]}, {one.name}: ltv {one.ltv:g}, liquidation_threshold "
        f"{one.liquidation_threshold:g}, liquidation_bonus {one.liquidation_bonus:g}"
        for one in payload.calls
    ]
    return [*lines, *(f"  left out: {text}" for text in payload.skipped)]


def countdown(executes_at: int, now: int) -> str:
    """How long it is until a time, in days, hours and minutes; both UTC seconds.

    >>> countdown(1_787_445_900, 1_787_356_800)
    'executes at 2026-08-23 00:45 UTC, in 1 d 0 h 45 min'
    """
    minutes = abs(executes_at - now) // 60
    long = f"{minutes // 1440} d {minutes % 1440 // 60} h {minutes % 60} min"
    when = f"executes at {datetime.fromtimestamp(executes_at, UTC):%Y-%m-%d %H:%M} UTC"
    return f"{when}, in {long}" if executes_at > now else f"{when}, which was {long} ago"


def parsed(given: list[str]) -> dict[str, float]:
    """{NAME.FIELD: new value} of the option. Raises `WrongOption`."""
    if not given:
        raise WrongOption(f"--set: expected at least one NAME.FIELD=VALUE, such as {EXAMPLE}; found none")
    changes: dict[str, float] = {}
    for text in given:
        key, sign, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            sign = ""
        if not sign or not key.strip():
            raise WrongOption(f"--set: expected NAME.FIELD=VALUE, such as {EXAMPLE}; found {text!r:.80}")
        if key.strip() in changes:
            raise WrongOption(f"--set: {key.strip():.60} is given twice")
        changes[key.strip()] = number
    return changes


def frames(found: Proposal, passport: Mapping[str, Any], n_paths: int, horizon_seconds: int) -> dict[str, pd.DataFrame]:
    """Rows of the two tables."""
    drawn = [
        {"measure": one.measure, "level": one.level, "unit": "USD", "before": one.before, "after": one.after,
         "low": one.low, "high": one.high, "few_draws": int(one.few_draws), "horizon_seconds": horizon_seconds,
         "n_paths": n_paths}
        for one in found.measures
    ]  # fmt: skip
    exact = [
        {"measure": measure, "level": 0.0, "unit": unit, "before": float(before), "after": float(after), "low": None,
         "high": None, "few_draws": 0, "horizon_seconds": 0, "n_paths": 0}
        for measure, unit, before, after in (
            ("repaid_now", "USD", found.now.repaid_usd, found.then.repaid_usd),
            ("deficit_now", "USD", found.now.deficit_usd, found.then.deficit_usd),
            ("liquidatable_now", "count", found.now.n_accounts, found.then.n_accounts),
        )
    ]  # fmt: skip
    figures = pd.DataFrame([row | dict(passport) for row in drawn + exact])
    repaid = np.zeros(len(found.debt_usd))
    repaid[found.then.liquidatable] = found.then.account_repaid_usd
    rows = np.concatenate([found.falls, found.warn])
    accounts = pd.DataFrame(
        {
            "proposal": passport["proposal"],
            "account": [str(found.before.accounts[row]) for row in rows],
            "effect": ["liquidatable"] * len(found.falls) + ["warn"] * len(found.warn),
            "health_before": found.health_before[rows],
            "health_after": found.health_after[rows],
            "debt_usd": found.debt_usd[rows],
            "repaid_usd": repaid[rows],
        }
    )
    return {
        "mart_parameter_change": figures.astype({"low": "float64", "high": "float64"}),
        "mart_parameter_change_account": accounts,
    }


def report(found: Proposal, notes: tuple[str, ...], hours: float) -> list[str]:
    """The change in lines of text."""
    market: Market = found.before
    at = market.snapshot
    lines = ["SAMPLE: synthetic accounts and prices"] if at.synthetic else []
    lines += [
        f"{at.market}, block {at.block:,} of {datetime.fromtimestamp(at.block_time, UTC):%Y-%m-%d %H:%M} UTC",
        "with " + ", ".join(f"{key} = {value:g}" for key, value in found.changes.items()),
        "",
        f"  at once: {len(found.falls):,} accounts become liquidatable ({amount(_debt(found, found.falls), 'USD')} of "
        f"debt); liquidators repay {amount(found.now.repaid_usd, 'USD')} -> {amount(found.then.repaid_usd, 'USD')}, "
        f"deficit {amount(found.now.deficit_usd, 'USD')} -> {amount(found.then.deficit_usd, 'USD')}",
        f"  to warn: {len(found.warn):,} accounts fall to below {found.warn_below:g} "
        f"({amount(_debt(found, found.warn), 'USD')} of debt); the health factor of {found.n_lower:,} falls",
        "",
        f"  within {hours:g} h, {found.measures[0].n_paths:,} paths, the same for both" if found.measures else "",
    ]
    width = max(len(label) for label in LABELS.values()) + 5
    for one in found.measures:
        label = LABELS[one.measure] + (f" {one.level:.0%}" if one.level else "")
        mark = " *" if one.few_draws else ""
        before, after, difference, low, high = (
            amount(value, "USD") for value in (one.before, one.after, one.difference, one.low, one.high)
        )
        lines.append(
            f"  {label:<{width}} {before:>14} -> {after:<14} by {difference}, 95 % interval [{low}, {high}]{mark}"
        )
    if any(one.few_draws for one in found.measures):
        lines.append("  * rests on fewer than 30 paths with a loss: an indication, not a figure")
    named = [(row, "liquidatable") for row in found.falls] + [(row, "to warn") for row in found.warn]
    lines += [
        f"  {market.accounts[row]}  {found.health_before[row]:.4f} -> {found.health_after[row]:.4f}  "
        f"{amount(float(found.debt_usd[row]), 'USD'):>12} of debt  {effect}"
        for row, effect in named[:SHOWN]
    ]
    if len(named) > SHOWN:
        lines.append(f"  and {len(named) - SHOWN:,} more")
    return [*lines, *(f"  note: {note}" for note in notes), "Stored in mart_parameter_change."]


def _debt(found: Proposal, rows: Any) -> float:
    return float(found.debt_usd[rows].sum())
