"""Borrow, deposit, repay, withdraw, liquidation and deficit events of every protocol."""
