"""Watching the recurrent layers of a model that the user's own loop trains: `bptt.watch`.

- `watch.py` is what the user calls: it counts steps and has the measures write their tables.
- `calls.py` sees the calls of torch's recurrent layers and the gradients that reach their outputs.
- `weights.py` makes our cell with the weights of one of torch's layers.
- `fused.py` redoes a call of nn.RNN, nn.LSTM or nn.GRU layer by layer and backpropagates through it.
- `loops.py` joins the calls of nn.RNNCell, nn.LSTMCell or nn.GRUCell in a loop over timesteps.
- `readings.py` joins what a layer read in one step: one after the other, or side by side in one batch.
- `folder.py` writes the run's folder.
- `launch.py` runs a script for `bptt watch -- SCRIPT`; `seeing.py` and `script.py` watch what it trains, from outside.
- `audit.py` is `bptt.check`: it holds the gradient of one batch against finite differences; `inputs.py` changes inputs.
"""
