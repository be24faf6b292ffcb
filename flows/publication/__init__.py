"""One stored figure of a risk run onto a chain, in a contract of our own."""
