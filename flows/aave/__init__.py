"""One Aave market at one block: where it is, its contracts and accounts, the checks on them, the rows they become."""
