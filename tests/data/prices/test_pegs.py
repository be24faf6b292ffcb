"""A stablecoin's price comes from evidence of its own, and says whose."""

from __future__ import annotations

import pandas as pd
import pytest

from data import marts
from data.errors import NoPrices
from data.prices.series import load_prices
from data.store.store import Store
from tests.data.conftest import price_rows
from tests.data.feeds import dim_feed, rounds

T0 = 1_700_002_800
"""A full hour."""


def stored(store: Store, symbol: str, prices: list[float], source: str = "binance", usdt: float | None = None) -> None:
    rows = price_rows(
        len(prices),
        symbol=symbol,
        source=source,
        price_usd=prices,
        ts=[T0 + 3_600 * n for n in range(len(prices))],
        usd_proxy="USDT" if source == "binance" else "",
        price_usdt=usdt if usdt else prices,
    )
    store.write_batch(source, symbol, {"dim_prices": rows})


def feed(store: Store, pair: str, said: list[tuple[float, int]], *, phase: int = 1, address: str = "0x" + "c" * 40):
    """Rounds of a pair: (price, seconds after T0)."""
    answers = [(n + 1, round(price * 10**8), T0 + at) for n, (price, at) in enumerate(said)]
    frames = {
        "raw_chainlink_rounds": rounds(answers, address, phase),
        "dim_feed": dim_feed(heartbeat_s=86_400, feed=address).assign(pair=pair),
    }
    store.write_batch("chainlink", pair, frames)
    marts.refresh(store, ["stg_chainlink_prices"])


def usdt(**options: object) -> tuple[list[float], str]:
    found = load_prices(["USDCUSDT", "USDT/USD"], **options)
    return found["USDT/USD"].tolist(), found.attrs["pegs"]["USDT/USD"]


def test_the_exchange_alone_gives_usdt_the_rate_its_prices_were_converted_at(store):
    stored(store, "USDCUSDT", [1.001, 1.0, 0.8726], usdt=1.0)  # at the second, USDT had moved: 0.8726 / 0.8726
    rows = price_rows(1, symbol="USDCUSDT", ts=[T0 + 3_600], price_usd=1.0, price_usdt=0.8726, usd_proxy="USDC")
    store.write_batch("binance", "again", {"dim_prices": rows})
    stored_before = store.rows("SELECT price_usd, price_usdt FROM dim_prices ORDER BY ts")
    assert stored_before[1] == (1.0, 0.8726)

    values, whose = usdt()

    assert whose == "binance"
    assert values == [1.001, 1.0 / 0.8726, 0.8726]


def test_chainlink_speaks_before_others_and_its_round_holds_until_the_next(store):
    stored(store, "USDCUSDT", [1.0] * 5)
    stored(store, "USDT/USD", [0.5] * 5, source="defillama")
    feed(store, "USDT/USD", [(0.999, -7_200), (0.97, 2 * 3_600 + 1), (0.99, 4 * 3_600)])

    assert usdt() == ([0.999, 0.999, 0.999, 0.97, 0.99], "chainlink")
    assert usdt(source="binance") == ([1.0] * 5, "binance")


def test_a_feed_of_a_few_hours_does_not_speak_for_a_window_of_days(store):
    stored(store, "USDCUSDT", [1.0] * 240)
    stored(store, "USDT/USD", [0.998] * 240, source="defillama")
    feed(store, "USDT/USD", [(0.97, 230 * 3_600)])

    assert usdt() == ([0.998] * 240, "defillama")
    assert usdt(start=T0 + 231 * 3_600) == ([0.97] * 9, "chainlink")


def test_rounds_of_a_retired_aggregator_are_not_the_price(store):
    stored(store, "USDCUSDT", [1.0] * 4)
    feed(store, "USDT/USD", [(0.999, -60), (0.5, 3_600), (0.5, 3 * 3_600)])
    feed(store, "USDT/USD", [(0.998, 1_800)], phase=2)

    assert usdt()[0] == [0.999, 0.998, 0.998, 0.998]


def test_a_peg_that_nobody_has_is_named_with_what_to_run(store):
    stored(store, "USDCUSDT", [1.0] * 3)
    with pytest.raises(NoPrices, match=r"no observed 1h prices of DAI/USD .*oracle-prices"):
        load_prices(["USDCUSDT", "DAI/USD"])


def test_the_samples_pegs_are_its_own_and_never_observed(store):
    stored(store, "USDCUSDT", [1.0] * 3)
    made = pd.concat(
        [
            price_rows(3, symbol=s, source="synthetic", is_synthetic=1, price_usd=p)
            for s, p in (("USDCUSDT", 1.01), ("USDT/USD", 0.99))
        ]
    )
    store.write_batch("sample", "k", {"dim_prices": made})

    found = load_prices(["USDCUSDT", "USDT/USD"], synthetic=True)

    assert found["USDT/USD"].tolist() == [0.99] * 3
    assert found.attrs["pegs"] == {}
