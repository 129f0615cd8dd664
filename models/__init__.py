"""Recurrent networks in pure torch: cells, initialisation, and the network that unrolls them in windows."""
