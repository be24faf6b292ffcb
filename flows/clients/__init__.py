"""Clients for nodes, JSON hosts and subgraphs. Only this package uses the network."""
