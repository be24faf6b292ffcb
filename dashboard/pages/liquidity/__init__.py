"""Liquidity: can what is liquidated be sold?"""
