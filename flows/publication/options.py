"""Options of the flow `publish-metric`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flows.options import Attempts, Flag, Number, Options, Whole

Bound = Annotated[Annotated[float, Number(-1e18, 1e18)] | None, Flag(metavar="VALUE", group="making a feed")]


class PublishMetricOptions(Options):
    """Options of `publish-metric`."""

    excluding = (("deploy", "declare"), ("deploy", "contract"))

    market: str | None = Field(
        None, description="market whose newest risk run is published (default: the newest run's)"
    )
    measure: str = Field("lar_repaid", description="measure of the run, as in fact_risk_scenarios")
    level: Annotated[float, Number(0, 0.9999, "a level")] | None = Field(
        None, description="level of a quantile or a shortfall (default: 0.99, or none where the measure has none)"
    )
    contract: Annotated[str | None, Flag(metavar="ADDRESS")] = Field(
        None, description="the feed (default: PUBLISHER_CONTRACT)"
    )
    send: bool = Field(False, description="send a transaction; without it the run only says what it would do")
    chain_id: Annotated[Annotated[int, Whole(1)] | None, Flag(metavar="N")] = Field(
        None, description="chain that the node must be on; --send needs it"
    )
    main_network: bool = Field(False, description="allow --send on a main network, where transactions cost money")
    confirmations: Annotated[int, Whole(1, 1_000)] = Field(
        3, description="blocks to wait for, counted from the block of the transaction"
    )
    timeout: Annotated[float, Number(1, 86_400, "seconds"), Flag(metavar="SECONDS")] = Field(
        300, description="how long to wait; a later run continues"
    )
    raise_after: Annotated[float, Number(1, 86_400, "seconds"), Flag(metavar="SECONDS")] = Field(
        60, description="when it is in no block after this time, send it again with the same nonce and a higher fee"
    )
    max_fee_gwei: Annotated[float, Number(0, 1e6, "gwei", open=True), Flag(metavar="GWEI")] = Field(
        50, description="highest fee for a unit of gas"
    )
    deploy: Annotated[bool, Flag(group="making a feed")] = Field(
        False, description="create a feed with this metric; the sender owns it"
    )
    declare: Annotated[bool, Flag(group="making a feed")] = Field(
        False, description="add this metric to the feed, as its owner"
    )
    lowest: Bound = Field(0, description="least value that the feed accepts, in the metric's unit")
    highest: Bound = Field(
        None, description="largest value that the feed accepts; needed unless the unit is a fraction"
    )
    decimals: Annotated[int, Whole(0, 18), Flag(group="making a feed")] = Field(
        8, description="decimals of its answers"
    )
    publisher: Annotated[str | None, Flag(metavar="ADDRESS", group="making a feed")] = Field(
        None, description="who may publish (default: the sender)"
    )
    attempts: Attempts = 5
