"""A new snapshot from an old one: accounts that no event has touched are carried forward."""
