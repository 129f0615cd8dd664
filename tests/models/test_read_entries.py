"""The entries of each cell's state that the next timestep reads."""

import pytest
import torch

from experiments.catalogue.choices import choices
from experiments.config.composing import compose
from experiments.config.parts import build
from models.read_entries import read_entries

UNREAD = {"lru": {"h": 16}, "scrn": {"h": 4}}


@pytest.mark.parametrize("name", choices("cell"))
def test_only_the_output_of_lru_and_the_slow_units_in_that_of_scrn_are_not_fed_back(name):
    own = ["cell.path=torch.nn.LSTMCell"] if name == "module" else []
    (cell,) = build(compose([f"cell={name}", "model.hidden_size=16", *own])).network.cells
    random = torch.get_rng_state()
    read = read_entries(cell, cell.initial_state(2))
    assert {state: int((~one).sum()) for state, one in read.items() if not one.all()} == UNREAD.get(name, {})
    assert list(read) == list(cell.state_names)
    assert torch.equal(random, torch.get_rng_state())
    if name == "scrn":
        assert (~read["h"]).nonzero().flatten().tolist() == [12, 13, 14, 15]
