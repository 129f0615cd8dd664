"""The columns that the tables of runs have besides the recorded ones."""

import numpy as np
import pandas as pd
import pytest

from experiments.analysis.run_tables import RunTables
from experiments.store.csv_columns import COLUMNS
from experiments.store.studies import Run

CELLS = {
    "lstm": {"states": ["h", "c"], "gates": ["input", "forget"], "kept_by": {"c": "forget"}},
    "mgu": {"states": ["h"], "gates": ["forget"], "kept_by": {"h": "1 - forget"}},
    "both": {"states": ["h", "c"], "gates": ["forget"], "kept_by": {"c": "forget", "h": "forget"}},
    "old": None,
}


@pytest.fixture
def runs(tmp_path):
    """One run of each cell with two rows of each gate."""
    found = []
    for name, cell in CELLS.items():
        folder = tmp_path / name
        folder.mkdir()
        gates = cell["gates"] if cell else ["update"]
        rows = {"step": 1, "layer": 0, "gate": np.repeat(gates, 2), "timestep": [1, 2] * len(gates), "mean": 0.75}
        pd.DataFrame(rows).reindex(columns=COLUMNS["gates"]).to_csv(folder / "gates.csv", index=False)
        found.append(Run(folder, {"cell": name}, {"readout_steps": 1} | ({"cell": cell} if cell else {})))
    return found


def test_a_run_knows_its_cells_states_and_the_gates_that_keep_them(runs):
    assert [(run.states, run.kept_by) for run in runs] == [
        (["h", "c"], {"c": "forget"}),
        (["h"], {"h": "1 - forget"}),
        (["h", "c"], {"c": "forget", "h": "forget"}),
        (["h"], {}),
    ]


def test_the_gates_table_says_which_state_each_gate_keeps_and_what_share_of_it(runs):
    gates = RunTables(runs)["gates"]
    rows = gates.groupby(["run_id", "gate"], observed=True, sort=False)[["keeps", "kept"]].first()
    assert rows.loc[("lstm", "input"), "keeps"] == ""
    assert np.isnan(rows.loc[("lstm", "input"), "kept"])
    assert rows.loc[("lstm", "forget")].tolist() == ["c", 0.75]
    assert rows.loc[("mgu", "forget")].tolist() == ["h", 0.25]
    assert rows.loc[("both", "forget")].tolist() == ["c", 0.75]
    assert rows.loc[("old", "update"), "keeps"] == ""
    assert gates["mean"].tolist() == [0.75] * len(gates)


def test_there_is_no_gates_table_where_no_run_has_gates(runs):
    (runs[0].folder / "gates.csv").unlink()
    assert RunTables(runs[:1])["gates"].empty


def test_a_table_of_the_users_own_measure_is_one_of_the_tables(runs):
    (runs[1].folder / "ranks.csv").write_text("step,name,rank\n1,W,3\n")
    assert RunTables(runs)["ranks"].to_dict("records") == [{"step": 1, "name": "W", "rank": 3, "run_id": "mgu"}]
