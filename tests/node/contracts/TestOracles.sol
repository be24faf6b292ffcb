// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// A feed's history, our own double, settable by anyone; shapes of Chainlink's AggregatorV3Interface (MIT).
contract TestAggregator {
  struct Round {
    int256 answer;
    uint256 startedAt;
    uint256 updatedAt;
    uint80 answeredInRound;
  }

  uint8 public immutable decimals;
  string public description;
  uint256 public latestRound;
  mapping(uint256 round => Round) public rounds;

  constructor(string memory description_, uint8 decimals_) {
    description = description_;
    decimals = decimals_;
  }

  /// A round as it comes: the next number, answered now.
  function push(int256 answer) external {
    uint256 id = latestRound + 1;
    set(id, answer, block.timestamp, block.timestamp, uint80(id));
  }

  /// A round of any form: `updatedAt` 0 never finished, `startedAt` 0 does not exist.
  function set(uint256 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound) public {
    rounds[id] = Round(answer, startedAt, updatedAt, answeredInRound);
    if (id > latestRound) latestRound = id;
  }

  function getRoundData(uint80 id) external view returns (uint80, int256, uint256, uint256, uint80) {
    Round memory r = rounds[id];
    require(r.startedAt != 0, "No data present");
    return (id, r.answer, r.startedAt, r.updatedAt, r.answeredInRound);
  }
}

/// One aggregator after another, each a phase: rounds are numbered phase << 64 | round of the aggregator.
contract TestFeedProxy {
  uint16 public phaseId;
  mapping(uint16 phase => TestAggregator) public phaseAggregators;

  constructor(TestAggregator first) {
    confirm(first);
  }

  function confirm(TestAggregator next) public {
    phaseAggregators[++phaseId] = next;
  }

  function aggregator() public view returns (TestAggregator) {
    return phaseAggregators[phaseId];
  }

  function decimals() external view returns (uint8) {
    return aggregator().decimals();
  }

  function description() external view returns (string memory) {
    return aggregator().description();
  }

  function latestAnswer() external view returns (int256 answer) {
    (, answer, , , ) = latestRoundData();
  }

  function latestRoundData() public view returns (uint80, int256, uint256, uint256, uint80) {
    return getRoundData((uint80(phaseId) << 64) | uint80(aggregator().latestRound()));
  }

  function getRoundData(uint80 id) public view returns (uint80, int256, uint256, uint256, uint80) {
    uint16 phase = uint16(id >> 64);
    (uint80 round, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound) =
      phaseAggregators[phase].getRoundData(uint80(uint64(id)));
    uint80 high = uint80(phase) << 64;
    return (high | round, answer, startedAt, updatedAt, high | answeredInRound);
  }
}

/// min(feed, cap). The names of the getters are ours: a test names them in AAVE_CAP_GETTERS.
contract TestStableCap {
  TestFeedProxy public immutable feed;
  int256 public cap;
  string public description;

  constructor(string memory description_, TestFeedProxy feed_, int256 cap_) {
    description = description_;
    feed = feed_;
    cap = cap_;
  }

  function decimals() external view returns (uint8) {
    return feed.decimals();
  }

  function latestAnswer() external view returns (int256) {
    int256 answer = feed.latestAnswer();
    return answer < cap ? answer : cap;
  }
}

/// base x min(ratio, snapshot x (1 + growth x years)), the growth of a second rounded down.
contract TestRatioCap {
  TestFeedProxy public immutable base;
  uint256 public immutable snapshot;
  uint256 public immutable snapshotTime;
  uint256 public immutable growth;
  uint256 public currentRatio;
  string public description;
  uint8 public constant decimals = 8;

  constructor(string memory description_, TestFeedProxy base_, uint256 ratio, uint256 snapshot_, uint256 time, uint256 bps) {
    description = description_;
    base = base_;
    currentRatio = ratio;
    snapshot = snapshot_;
    snapshotTime = time;
    growth = bps;
  }

  function setRatio(uint256 ratio) external {
    currentRatio = ratio;
  }

  function maxRatio() public view returns (uint256) {
    uint256 perSecond = (snapshot * growth) / 10_000 / 365 days;
    return snapshot + perSecond * (block.timestamp - snapshotTime);
  }

  function latestAnswer() external view returns (int256) {
    uint256 ratio = currentRatio < maxRatio() ? currentRatio : maxRatio();
    return int256((uint256(base.latestAnswer()) * ratio) / 1e18);
  }
}
