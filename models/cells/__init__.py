"""Cells of the literature, one file for each cell or pair of cells. rnn, lstm and gru are in `models` itself."""
