"""JSON for machines: figures of the Overview and the charts, `/health`, and 404 for any other address below /api."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from flask import Flask, Response, jsonify, request

import risk_core as rc
from dashboard.market.loaded import ShownFigure
from dashboard.market.page_data import PageData, Status, Unavailable
from dashboard.pages import PAGES
from dashboard.pages.overview.answers import position
from dashboard.pages.overview.past import hash_of

log = logging.getLogger(__name__)


def summary(source: PageData, query: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A snapshot and its newest run, unrounded: the newest, or that of the query's `block`.

    Raises `Unavailable`, and `InputError` for a block that is not stored.
    """
    loaded = source.loaded(hash_of(source, query or {}))
    run, today, at = source.run(loaded.market.snapshot), position(loaded), loaded.market.snapshot
    out: dict[str, Any] = {
        "snapshot": {
            "market": at.market,
            "chain_id": at.chain_id,
            "block": at.block,
            "block_time": at.block_time,
            "pool_revision": at.revision,
            "hash": at.hash,
            "is_synthetic": at.synthetic,
            "notes": list(loaded.market.notes),
        },
        "position": {
            "collateral_usd": today.collateral_usd,
            "borrowed_usd": today.borrowed_usd,
            "n_accounts": today.n_accounts,
            "n_with_debt": today.n_with_debt,
            "n_below_one": today.n_below_one,
            "debt_below_1_1_usd": today.watch_debt_usd,
        },
        "run": None,
    }
    if run is not None:
        out["run"] = {
            "scenario": run.scenario_id,
            "n_paths": run.n_paths,
            "seed": run.seed,
            "policy": run.policy,
            "horizon_hours": run.horizon_hours,
            "looks_ahead": run.looks_ahead,
            "code_version": run.code_version,
            "created_at": run.created_at,
            "seized_by_reserve_usd": dict(run.seized_by_reserve),
            "measures": [
                {"measure": name, "level": level} | _estimate(e) for (name, level), e in sorted(run.estimates.items())
            ],
        }
    return out


def _estimate(estimate: ShownFigure) -> dict[str, Any]:
    return {name: getattr(estimate, name) for name in ShownFigure.__slots__}


def finite(value: Any) -> Any:
    """The same value as JSON can hold it: arrays and tuples become lists, NaN and infinity become None."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def register(server: Flask, source: PageData) -> None:
    """Add `/health`, which needs no data, `/api/v1/summary` and the charts' figures, which answer 503 without data."""

    @server.get("/health")
    def health() -> Response:
        try:
            status = source.status()
        except Exception as error:  # the server is healthy even when the warehouse is not
            log.exception("the warehouse has no status")
            status = Status(fault=f"{type(error).__name__}: {error}")
        fault = {"warehouse": status.fault} if status.fault else {}
        return jsonify(status="ok", market=status.market or None, block=status.block, **fault)

    @server.get("/api/v1/summary")
    def show_summary() -> tuple[Response, int]:
        try:
            return jsonify(finite(summary(source, request.args))), 200
        except rc.InputError as wrong:
            return jsonify(error="the query cannot be answered", detail=str(wrong)), 400
        except Unavailable as missing:
            return jsonify(error=missing.title, detail=missing.text, command=missing.command or None), 503
        except Exception as error:
            log.exception("the summary failed")
            return jsonify(error="The figures cannot be shown", detail=f"{type(error).__name__}: {error}"), 503

    charts = {name: chart for page in PAGES for name, chart in page.charts.items()}

    @server.get("/api/v1/<path:name>")
    def show_figure(name: str) -> tuple[Response, int]:
        if name not in charts:
            return unknown(f"v1/{name}")
        try:
            return jsonify(finite(charts[name](source, request.args))), 200
        except rc.InputError as wrong:
            return jsonify(error="the query cannot be answered", detail=str(wrong)), 400
        except Unavailable as missing:
            return jsonify(error=missing.title, detail=missing.text, command=missing.command or None), 503
        except Exception as error:
            log.exception("the figure %s failed", name)
            return jsonify(error="The figures cannot be shown", detail=f"{type(error).__name__}: {error}"), 503

    @server.route("/api/<path:rest>")
    def unknown(rest: str) -> tuple[Response, int]:
        return jsonify(
            error="not found",
            path=f"/api/{rest}",
            known=["/api/v1/summary", *(f"/api/v1/{name}" for name in sorted(charts))],
        ), 404
