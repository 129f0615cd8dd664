"""Recurrent networks in pure torch: the cells, their initialisation, and a network that unrolls them in windows."""
