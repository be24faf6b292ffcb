// SPDX-License-Identifier: MIT
pragma solidity ^0.8.10;

interface IFeed {
    function decimals() external view returns (uint8);
    function description() external view returns (string memory);
    function version() external view returns (uint256);
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
    function getRoundData(uint80 roundId) external view returns (uint80, int256, uint256, uint256, uint80);
}

/// A contract that knows nothing of ours but the form of a price feed, and refuses an answer that is too old.
contract MetricReader {
    IFeed public immutable feed;
    uint256 public immutable maxAge;

    constructor(address feed_, uint256 maxAge_) {
        feed = IFeed(feed_);
        maxAge = maxAge_;
    }

    function fresh() external view returns (int256 answer, uint8 decimals, string memory description) {
        uint256 updatedAt;
        (, answer, , updatedAt, ) = feed.latestRoundData();
        require(block.timestamp - updatedAt <= maxAge, 'too old');
        return (answer, feed.decimals(), feed.description());
    }

    function answerOf(uint80 roundId) external view returns (int256 answer) {
        (, answer, , , ) = feed.getRoundData(roundId);
    }
}
