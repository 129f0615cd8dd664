"""Studies of several grids, each at several scales."""

from collections import defaultdict

import pytest

from experiments.catalogue.choices import claims_of_studies
from experiments.errors import UsageError
from experiments.sweeps.plan import plan


@pytest.mark.parametrize("study", claims_of_studies())
def test_every_study_with_claims_has_both_scales_and_five_seeds(study):
    for scale, folder in (("small", study), ("paper", f"{study}-paper")):
        planned = plan([f"study={study}", f"scale={scale}"])
        assert planned.study_folder.name == folder
        seeds = defaultdict(set)
        for config in planned.configs:
            seeds[config.model_dump_json(exclude={"seed"})].add(config.seed)
        assert min(map(len, seeds.values())) >= 5


def test_what_the_user_says_replaces_an_axis_in_every_grid():
    planned = plan(["study=exploding", "seed=7", "task.length=12,14", "study.name=mine"])
    assert planned.study_folder.name == "mine"
    assert {config.seed for config in planned.configs} == {7}
    assert {config.task["length"] for config in planned.configs} == {12, 14}
    assert {config.clip["name"] for config in planned.configs} == {"none", "norm"}
    assert len(planned.configs) == 2 * (1 + 11 + 1)


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
