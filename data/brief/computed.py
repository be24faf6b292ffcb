"""Sentences on what other flows computed: pegs and bursts of liquidations."""

from __future__ import annotations

from data.brief.parts import CHANGE, MISSING, STATE, Number, Part, Ref, Sentence
from data.brief.reading import DAY, HOUR, Rows
from data.brief.words import apart, count, share, utc


def pegs(rows: Rows) -> list[Sentence]:
    """Stablecoins whose state changed since the day before; if there are none, the one furthest from its peg."""
    topic, at = "pegs", rows.now.block_time
    fresh = {token: found for token, found in rows.pegs.items() if found[0][1] > at - DAY}
    if not fresh:
        return [
            Sentence(topic, MISSING, ("No state of a stablecoin of the day is stored.",), "python -m flows peg-health")
        ]
    changes = []
    compared: list[Ref] = []
    for token, found in sorted(fresh.items()):
        now = found[0]
        # Of the same source: another source may stand elsewhere without a move of the peg.
        old = next((row for row in found if row[1] <= at - DAY and row[0] == now[0]), None)
        if old is None:
            continue
        here, there = _peg(token, now), _peg(token, old)
        compared += [here, there]
        if old[2] == now[2]:
            continue
        changes.append(
            Sentence(
                topic,
                CHANGE,
                (f"{_word(token)} went from ", Number(f"{old[2]} ({old[3]:+.0f} bp)", (there,)), " to ",
                 Number(f"{now[2]} ({now[3]:+.0f} bp, {utc(now[1])})", (here,)), "."),
            )
        )  # fmt: skip
    if changes:
        return changes
    token, now = max(((token, found[0]) for token, found in fresh.items()), key=lambda one: (abs(one[1][3]), one[0]))
    furthest = Number(f"{token} at {now[3]:+.0f} bp ({now[2]})", (_peg(token, now),))
    if not compared:
        return [Sentence(topic, STATE, ("Furthest from its peg is ", furthest, "."))]
    n = Number(count(len(compared) // 2, "stablecoin"), tuple(compared))
    return [Sentence(topic, CHANGE, ("None of ", n, " left its state; furthest from its peg is ", furthest, "."))]


def _peg(token: str, row: tuple) -> Ref:
    return Ref("mart_peg_health", {"token": token, "source": row[0], "ts": row[1]})


def _word(name: str) -> str:
    """A name among words, which hold no digit."""
    return "".join("#" if letter.isdigit() else letter for letter in name)


def clusters(rows: Rows) -> list[Sentence]:
    """The chance of a burst of liquidations, compared with the day before by the same fit."""
    topic = "clusters"
    if not rows.clusters:
        words = "No chance of a burst of liquidations is stored."
        return [Sentence(topic, MISSING, (words,), "python -m flows liquidation-clusters")]
    now, *older = rows.clusters
    old = next((row for row in older if row["ts"] <= now["ts"] - NEAR_A_DAY), None)
    hours = now["horizon_seconds"] / HOUR
    what = f"{now['at_least']} liquidations within {now['within_seconds'] / HOUR:g} h over {hours:g} h"
    value = Number(
        f"{what} is {share(now['probability'])} (95 % {share(now['low'])} to {share(now['high'])})", (_chance(now),)
    )
    parts: list[Part] = ["The chance of ", value]
    if old is not None:
        differs = apart(now["low"], now["high"], old["low"], old["high"])
        before = Number(f"{share(old['probability'])} ({share(old['low'])} to {share(old['high'])})", (_chance(old),))
        parts += [", the day before it was ", before, ": " + ("a change" if differs else "no change beyond its error")]
    stale = rows.now.block_time - now["ts"]
    if stale > DAY:
        parts += ["; it was computed for ", Number(utc(now["ts"]), (_chance(now),))]
    return [Sentence(topic, CHANGE if old else STATE, (*parts, "."))]


NEAR_A_DAY = 20 * HOUR


def _chance(row: dict) -> Ref:
    names = ("market", "ts", "horizon_seconds", "within_seconds", "at_least", "calibration_id")
    return Ref("mart_cluster_probability", {name: row[name] for name in names})
