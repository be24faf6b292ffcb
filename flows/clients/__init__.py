"""How a node, a JSON host and a subgraph are spoken to: the one door to the network."""
