"""The real Aave v3.6 contracts on a local node, populated by random users: the witness for the chain-facing tests.

Nothing of Aave is kept here: `package.json` names the npm packages, `toolchain.ready()` installs and compiles them.
`python -m tests.node --users 300` serves a market for manual use.
"""
