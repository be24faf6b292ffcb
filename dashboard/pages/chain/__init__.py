"""What happens on the chain: token transfers by the hour, who takes from whom by the block, liquidations."""
