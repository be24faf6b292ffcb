// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// A token for tests: anyone may mint, and one spender (the pool) needs no allowance.
contract TestToken {
  string public name;
  uint8 public immutable decimals;
  uint256 public totalSupply;
  mapping(address account => uint256) public balanceOf;
  mapping(address owner => mapping(address spender => uint256)) public allowance;

  address private immutable _spender;
  string private _symbol;
  bool private immutable _symbolIsBytes32;

  event Transfer(address indexed from, address indexed to, uint256 value);
  event Approval(address indexed owner, address indexed spender, uint256 value);

  /// `symbolIsBytes32`: answer `symbol()` as a bytes32 word, as tokens older than the final ERC-20 text do.
  constructor(string memory name_, string memory symbol_, uint8 decimals_, address spender, bool symbolIsBytes32) {
    name = name_;
    _symbol = symbol_;
    decimals = decimals_;
    _spender = spender;
    _symbolIsBytes32 = symbolIsBytes32;
  }

  function symbol() external view returns (string memory) {
    if (_symbolIsBytes32) {
      bytes32 word = bytes32(bytes(_symbol));
      assembly {
        mstore(0, word)
        return(0, 32)
      }
    }
    return _symbol;
  }

  function mint(address to, uint256 value) external {
    totalSupply += value;
    balanceOf[to] += value;
    emit Transfer(address(0), to, value);
  }

  function approve(address spender, uint256 value) external returns (bool) {
    allowance[msg.sender][spender] = value;
    emit Approval(msg.sender, spender, value);
    return true;
  }

  function transfer(address to, uint256 value) external returns (bool) {
    return _transfer(msg.sender, to, value);
  }

  function transferFrom(address from, address to, uint256 value) external returns (bool) {
    if (msg.sender != _spender) allowance[from][msg.sender] -= value;
    return _transfer(from, to, value);
  }

  function _transfer(address from, address to, uint256 value) private returns (bool) {
    balanceOf[from] -= value;
    balanceOf[to] += value;
    emit Transfer(from, to, value);
    return true;
  }
}
