"""The noiseless memorization task: the copy memory task with an alphabet of five symbols."""

from experiments.tasks.copy import Copy


class NoiselessMemorization(Copy):
    """Read 10 symbols from an alphabet of 5, wait for a go signal, and repeat them (Pascanu et al. 2013).

    Everything else is as in `Copy`: the sequence has length + 20 timesteps, each with a loss. Answering blank and then
    guessing has a loss of 10 ln 5 / (length + 20), and 80 % of the ten symbols are wrong. The task is solved below 1 %.
    """

    symbols = 5
