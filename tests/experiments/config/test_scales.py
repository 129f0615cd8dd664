"""Studies of several grids, each at several scales."""

from collections import defaultdict

import pytest

from experiments.catalogue.choices import claims_of_studies
from experiments.errors import UsageError
from experiments.sweeps.plan import plan
from tests.experiments.claims.world import planned


@pytest.mark.parametrize("study", claims_of_studies())
def test_every_study_with_claims_has_both_scales_and_five_seeds(study):
    of_paper = plan([f"study={study}", "scale=paper"]).configs
    for configs, folder in ((planned(study), study), (of_paper, f"{study}-paper")):
        assert configs[0].study_folder.name == folder
        seeds = defaultdict(set)
        for config in configs:
            seeds[config.model_dump_json(exclude={"seed"})].add(config.seed)
        assert min(map(len, seeds.values())) >= 5


def test_what_the_user_says_replaces_an_axis_in_every_grid():
    mine = plan(["study=exploding", "seed=7", "task.length=12,14", "study.name=mine"])
    assert mine.study_folder.name == "mine"
    assert {config.seed for config in mine.configs} == {7}
    assert {config.task["length"] for config in mine.configs} == {12, 14}
    assert {config.clip["name"] for config in mine.configs} == {"none", "norm"}
    assert len(mine.configs) == 2 * (9 + 5 + 1 + 2 + 1)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["scale=paper"], "scale=paper: the study has no such scale; choose from small"),
        (["study=quickstart", "scale=paper"], "scale=paper: the study has no such scale; choose from small"),
        (["study=gates", "scale=large"], "scale=large: the study has no such scale; choose from small, tuning, paper"),
        (["study=gates", "scale=small,paper"], "scale=small,paper: give one scale at a time"),
    ],
)
def test_a_scale_that_there_is_not_is_told(overrides, says):
    with pytest.raises(UsageError, match=says):
        plan(overrides)
