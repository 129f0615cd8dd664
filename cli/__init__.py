"""The command line of bptt: reads arguments, calls `experiments`, prints the results.

`cli.main` is the `bptt` program and `cli.commands` has one module for each of its commands. The modules beside them are
shared by the commands. Heavy libraries are imported inside functions, so that `bptt --help` answers at once.
"""
