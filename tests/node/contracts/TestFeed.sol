// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// A price feed for tests, 8 decimals, settable by anyone. The answer lives in storage slot 0, so that a test can
/// also move it without a block (anvil_setStorageAt).
contract TestFeed {
  int256 public latestAnswer;
  uint256 public latestTimestamp;
  string public description;
  uint8 public constant decimals = 8;

  event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

  constructor(string memory description_, int256 answer) {
    description = description_;
    setAnswer(answer);
  }

  function setAnswer(int256 answer) public {
    latestAnswer = answer;
    latestTimestamp = block.timestamp;
    emit AnswerUpdated(answer, block.number, block.timestamp);
  }
}
