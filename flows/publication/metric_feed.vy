# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title Metric feed
@license MIT
@notice Figures of risk runs, one list of rounds for each metric, in the form that price feeds are read in.
@dev A metric's id is the keccak256 of its description. The functions of a price feed (AggregatorV3Interface) speak of
     the first metric; with a metric's id as their last argument, of that one. Times are seconds UTC. A round's
     `startedAt` and `updatedAt` are the time that its figure speaks of, not the time of the transaction: whoever asks
     how old the answer is learns how old the figure is.
"""

struct Metric:
    description: String[128]
    level_bps: uint16  # 9900 is 99 %, 0 where the metric has none
    horizon_seconds: uint32
    decimals: uint8
    minimum: int256
    maximum: int256
    last_round: uint80  # 0 before the first

struct Round:
    value: int256
    timestamp: uint64  # the time that the figure speaks of
    published_at: uint64
    inputs_hash: bytes32

event Published:
    metric: indexed(bytes32)
    round: indexed(uint80)
    inputs_hash: indexed(bytes32)
    value: int256
    timestamp: uint64
    level_bps: uint16
    horizon_seconds: uint32

event MetricAdded:
    metric: indexed(bytes32)
    description: String[128]
    level_bps: uint16
    horizon_seconds: uint32
    decimals: uint8

event BoundsSet:
    metric: indexed(bytes32)
    minimum: int256
    maximum: int256

event PublisherSet:
    publisher: indexed(address)

event OwnershipOffered:
    owner: indexed(address)
    pending_owner: indexed(address)

event OwnershipTaken:
    previous: indexed(address)
    owner: indexed(address)

version: public(constant(uint256)) = 1

owner: public(address)
pending_owner: public(address)
publisher: public(address)
first_metric: public(bytes32)
metrics: public(HashMap[bytes32, Metric])
rounds: public(HashMap[bytes32, HashMap[uint80, Round]])
# Which round of a metric came of which inputs; 0 where none did.
round_of: public(HashMap[bytes32, HashMap[bytes32, uint80]])


@deploy
def __init__(
    publisher: address, description: String[128], level_bps: uint16, horizon_seconds: uint32, decimals: uint8,
    minimum: int256, maximum: int256
):
    """
    @notice The sender owns the feed; `publisher` may publish. The first metric is given at once.
    """
    self.owner = msg.sender
    log OwnershipTaken(previous=empty(address), owner=msg.sender)
    self.publisher = publisher
    log PublisherSet(publisher=publisher)
    self.first_metric = self._add_metric(description, level_bps, horizon_seconds, decimals, minimum, maximum)


# Roles


@external
def transfer_ownership(new_owner: address):
    """
    @notice Offer the feed to `new_owner`, who takes it with `accept_ownership`; the zero address takes an offer back.
    """
    self._only_owner()
    self.pending_owner = new_owner
    log OwnershipOffered(owner=msg.sender, pending_owner=new_owner)


@external
def accept_ownership():
    """
    @notice Take the feed that was offered.
    """
    assert msg.sender == self.pending_owner, "not offered to the sender"
    log OwnershipTaken(previous=self.owner, owner=msg.sender)
    self.owner = msg.sender
    self.pending_owner = empty(address)


@external
def set_publisher(publisher: address):
    """
    @notice Let `publisher`, and nobody else, publish; the zero address stops all publication.
    """
    self._only_owner()
    self.publisher = publisher
    log PublisherSet(publisher=publisher)


# Metrics


@external
def add_metric(
    description: String[128], level_bps: uint16, horizon_seconds: uint32, decimals: uint8, minimum: int256,
    maximum: int256
) -> bytes32:
    """
    @notice A further metric; returns its id. What is added is never removed, and only its bounds can change.
    """
    self._only_owner()
    return self._add_metric(description, level_bps, horizon_seconds, decimals, minimum, maximum)


@external
def set_bounds(metric: bytes32, minimum: int256, maximum: int256):
    """
    @notice Values of `metric` from now on: from `minimum` to `maximum`, both included. Earlier rounds stay.
    """
    self._only_owner()
    self._require_metric(metric)
    self._set_bounds(metric, minimum, maximum)


@external
def publish(metric: bytes32, answer: int256, timestamp: uint64, inputs_hash: bytes32) -> uint80:
    """
    @notice A further round of a metric; returns its number.
    @param answer The figure times 10 ** decimals of the metric.
    @param timestamp The time that the figure speaks of: later than that of the round before, and not in the future.
    @param inputs_hash What the figure was computed from; each is published once.
    """
    assert msg.sender == self.publisher, "not the publisher"
    self._require_metric(metric)
    assert inputs_hash != empty(bytes32), "no inputs hash"
    assert self.round_of[metric][inputs_hash] == 0, "published before"
    assert answer >= self.metrics[metric].minimum, "below the bounds"
    assert answer <= self.metrics[metric].maximum, "above the bounds"
    last: uint80 = self.metrics[metric].last_round
    assert timestamp > self.rounds[metric][last].timestamp, "not newer than the last round"
    assert convert(timestamp, uint256) <= block.timestamp, "in the future"

    number: uint80 = last + 1
    self.metrics[metric].last_round = number
    self.rounds[metric][number] = Round(
        value=answer,
        timestamp=timestamp,
        published_at=convert(block.timestamp, uint64),
        inputs_hash=inputs_hash,
    )
    self.round_of[metric][inputs_hash] = number
    log Published(
        metric=metric,
        round=number,
        inputs_hash=inputs_hash,
        value=answer,
        timestamp=timestamp,
        level_bps=self.metrics[metric].level_bps,
        horizon_seconds=self.metrics[metric].horizon_seconds,
    )
    return number


# A price feed


@external
@view
def latestRoundData(metric: bytes32 = empty(bytes32)) -> (uint80, int256, uint256, uint256, uint80):
    """
    @notice The newest round: number, answer, startedAt, updatedAt, answeredInRound. Reverts before the first.
    """
    named: bytes32 = self._named(metric)
    return self._round(named, self.metrics[named].last_round)


@external
@view
def getRoundData(roundId: uint80, metric: bytes32 = empty(bytes32)) -> (uint80, int256, uint256, uint256, uint80):
    """
    @notice A round as `latestRoundData`. Reverts for one that is not there.
    """
    return self._round(self._named(metric), roundId)


@external
@view
def decimals(metric: bytes32 = empty(bytes32)) -> uint8:
    """
    @notice Decimals of the answer.
    """
    return self.metrics[self._named(metric)].decimals


@external
@view
def description(metric: bytes32 = empty(bytes32)) -> String[128]:
    """
    @notice What the metric is, in words.
    """
    return self.metrics[self._named(metric)].description


@internal
@view
def _round(metric: bytes32, number: uint80) -> (uint80, int256, uint256, uint256, uint80):
    found: Round = self.rounds[metric][number]
    assert found.published_at != 0, "no data present"
    at: uint256 = convert(found.timestamp, uint256)
    return number, found.value, at, at, number


@internal
@view
def _named(metric: bytes32) -> bytes32:
    if metric == empty(bytes32):
        return self.first_metric
    self._require_metric(metric)
    return metric


@internal
@view
def _require_metric(metric: bytes32):
    assert self._is_known(metric), "no such metric"


@internal
@view
def _is_known(metric: bytes32) -> bool:
    return len(self.metrics[metric].description) > 0


@internal
@view
def _only_owner():
    assert msg.sender == self.owner, "not the owner"


@internal
def _add_metric(
    description: String[128], level_bps: uint16, horizon_seconds: uint32, decimals: uint8, minimum: int256,
    maximum: int256
) -> bytes32:
    metric: bytes32 = keccak256(description)
    assert len(description) > 0, "no description"
    assert not self._is_known(metric), "the metric is there already"
    assert level_bps < 10000, "level of 100 % or more"
    assert decimals <= 36, "more than 36 decimals"
    self.metrics[metric] = Metric(
        description=description,
        level_bps=level_bps,
        horizon_seconds=horizon_seconds,
        decimals=decimals,
        minimum=minimum,
        maximum=maximum,
        last_round=0,
    )
    log MetricAdded(
        metric=metric, description=description, level_bps=level_bps, horizon_seconds=horizon_seconds, decimals=decimals
    )
    self._set_bounds(metric, minimum, maximum)
    return metric


@internal
def _set_bounds(metric: bytes32, minimum: int256, maximum: int256):
    assert minimum <= maximum, "bounds the wrong way round"
    self.metrics[metric].minimum = minimum
    self.metrics[metric].maximum = maximum
    log BoundsSet(metric=metric, minimum=minimum, maximum=maximum)
