"""How borrowers of a market respond when they are close to liquidation, fitted to what they did."""

from __future__ import annotations

import numpy as np
from pandera.typing import Series

from data.schemas.fields import document, flag, integer, name, real, seconds, sha256
from data.schemas.model import Numbered


class BorrowerResponses(
    Numbered,
    key=["response"],
    indexes=[["market", "last_ts"]],
    optional=["share_se", "delay_se", "target", "target_se", "target_low", "target_high", "target_q25", "target_q75"],
    time="last_ts",
):
    """`fact_borrower_response`: one fit (`risk_core.analytics.responses`). Equal spells and method give the equal id.

    Standard errors are NULL at the edge of what is possible, health factors where the debt was repaid whole.
    """

    response: Series[str] = sha256("digest of the method and every spell")
    market: Series[str] = name("market name")
    first_ts: Series[np.int64] = seconds("first snapshot")
    last_ts: Series[np.int64] = seconds("last snapshot: nothing later was used")
    n_snapshots: Series[np.int64] = integer("snapshots between which accounts were followed", "snapshots")
    observed_seconds: Series[np.int64] = integer("time in which accounts were followed", "s")
    zone: Series[np.float64] = real("health factor below which a spell begins; assumed", "ratio", gt=1)
    method: Series[str] = document("model and rules of a spell, with their numbers and their version")
    outcomes: Series[str] = document("how many spells ended in which way")
    n_spells: Series[np.int64] = integer("spells", "spells")
    n_accounts: Series[np.int64] = integer("accounts that had them", "accounts")
    n_responses: Series[np.int64] = integer("spells that the borrower ended", "spells")
    share: Series[np.float64] = real("share of the accounts that responds", "fraction", ge=0, le=1)
    share_se: Series[np.float64] = real("its standard error", "fraction", ge=0, nullable=True)
    share_low: Series[np.float64] = real("lower end of its 95 % interval", "fraction", ge=0, le=1)
    share_high: Series[np.float64] = real("upper end", "fraction", ge=0, le=1)
    delay: Series[np.float64] = real("mean time in the zone until a response", "s", gt=0)
    delay_se: Series[np.float64] = real("its standard error", "s", ge=0, nullable=True)
    delay_low: Series[np.float64] = real("lower end of its 95 % interval", "s", gt=0)
    delay_high: Series[np.float64] = real("upper end", "s", gt=0)
    target: Series[np.float64] = real("median health factor after a response", "ratio", ge=0, nullable=True)
    target_se: Series[np.float64] = real("its standard error", "ratio", ge=0, nullable=True)
    target_low: Series[np.float64] = real("lower end of its 95 % interval", "ratio", ge=0, nullable=True)
    target_high: Series[np.float64] = real("upper end", "ratio", ge=0, nullable=True)
    target_q25: Series[np.float64] = real("first quartile of these health factors", "ratio", ge=0, nullable=True)
    target_q75: Series[np.float64] = real("third quartile", "ratio", ge=0, nullable=True)
    log_likelihood: Series[np.float64] = real("of the fit", "nats")
    is_synthetic: Series[np.int64] = flag("1 when the market is a sample")
