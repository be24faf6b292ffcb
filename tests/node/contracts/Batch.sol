// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface ITestToken {
  function mint(address to, uint256 value) external;
}

/// Our own implementation of the `aggregate3` interface (same selector and shapes as the public Multicall3), so that
/// tests can put it at the usual address; and a minter, so that a thousand users need only a few transactions.
contract Batch {
  struct Call3 {
    address target;
    bool allowFailure;
    bytes callData;
  }

  struct Result {
    bool success;
    bytes returnData;
  }

  function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory results) {
    results = new Result[](calls.length);
    for (uint256 i = 0; i < calls.length; ++i) {
      (bool success, bytes memory answer) = calls[i].target.call(calls[i].callData);
      require(success || calls[i].allowFailure, "aggregate3: call failed");
      results[i] = Result(success, answer);
    }
  }

  function mintAll(address[] calldata tokens, address[] calldata to, uint256[] calldata values) external {
    for (uint256 i = 0; i < tokens.length; ++i) {
      ITestToken(tokens[i]).mint(to[i], values[i]);
    }
  }
}
