"""The comments in YAML files: read as people write them, and printed behind the keys that they explain."""

import pytest
import yaml
from typer.testing import CliRunner

from cli.main import app
from experiments.catalogue.choices import CONF, choices, groups
from experiments.catalogue.key_comments import annotate, options, read_comments

OWN = """
# A leaky unit
_target_: leaky.Leaky
_partial_: true
# what is kept
# from one timestep to the next
leak: 0.9
text: "a # b"   # quoted, with a sign in it
url: http://x#y
unexplained: 1
long: [1, 2]  # goes on
              # below
              # twice
inner:        # a group
  deep: null  # of none
# the last
last: {a: 1}
"""
MEANT = {
    "leak": "what is kept from one timestep to the next",
    "text": "quoted, with a sign in it",
    "url": "",
    "unexplained": "",
    "long": "goes on below twice",
    "inner": "a group",
    "inner.deep": "of none",
    "last": "the last",
}


@pytest.fixture
def own(tmp_path):
    """A folder with choices of one's own; the second builds on the first."""
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "leaky.yaml").write_text(OWN)
    (tmp_path / "cell" / "leakier.yaml").write_text("# More leaky\ndefaults: [leaky]\nleak: 0.5\ntext: x  # other\n")
    return tmp_path


def test_comments_are_read_as_people_write_them(own):
    comments = read_comments({"cell": "leaky"}, own)
    assert {key: comments[f"cell.{key}"] for key in MEANT} == MEANT
    ours = ", ".join(choices("cell"))
    assert (comments["cell"], comments["cell.name"]) == ("A leaky unit", f"one of {ours}, leakier, leaky")
    assert comments["seed"].startswith("integer, at least 0")
    assert comments["record.every"].startswith("training steps between")


def test_a_choice_means_what_the_one_it_builds_on_means(own):
    leak, text = options("cell", "leakier", own)
    assert leak == ("cell.leak", "0.5", MEANT["leak"])
    assert text == ("cell.text", "x", "other")
    assert read_comments({"cell": "leakier"}, own)["cell.long"] == MEANT["long"]


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_an_annotated_text_is_the_same_yaml(width):
    content = {"a": {"b": "x: y # z", "c": [1, {"d": 2}]}, "e": None, "f": "l\n\nm: 1", "long-key-" * 5: 1.0}
    text = yaml.safe_dump(content, sort_keys=False)
    annotated = annotate(text, {"a": "A", "a.b": "many words " * 20, "e": "E", "f": "F", "long-key-" * 5: "G"}, width)
    assert yaml.safe_load(annotated) == content
    assert all(comment in annotated for comment in ("# A", "# many words", "# E", "# F", "# G"))


@pytest.mark.parametrize("arguments", [[], ["cell=lstm", "init=orthogonal"], ["clip=norm", "optimizer=rmsprop"]])
def test_show_says_what_every_key_means(monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app, ["show", *arguments]).stdout
    assert max(map(len, shown.splitlines())) <= 80
    for line in shown.splitlines():
        key = line.partition(":")[0].strip()
        assert "#" in line or key.startswith("_") or key == "study", line


@pytest.mark.parametrize("width", [60, 80])
def test_list_has_options_and_defaults_within_the_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    listed = CliRunner().invoke(app, ["list"]).stdout
    assert not [
        line for line in listed.splitlines() if len(line) > width and len(line.split()) > 1
    ]  # a path is one word
    known = {word for path in CONF.rglob("*.yaml") for word in path.read_text().split()}
    for option in (
        "cell.forget_bias=1.0",
        "cell.forget_bias=null",
        "init.gain=1.0",
        "clip.threshold=0.1",
        "task.length=64",
    ):
        assert option in listed
    listed_words = set(listed.partition("\nstudy")[0].split())
    assert not {word for word in listed_words if "=" not in word} - known - set(groups()) - names()


def names():
    return {name for group in groups() for name in choices(group)}


@pytest.mark.parametrize(
    ("asked", "group"),
    [("cells", "cell"), ("studies", "study"), ("Tasks", "task"), ("optimisers", "optimizer"), ("figures", "figure")],
)
def test_a_group_may_be_asked_for_in_the_plural(asked, group):
    listed = CliRunner().invoke(app, ["list", asked])
    assert (listed.exit_code, listed.stdout.splitlines()[0]) == (0, group)
    wrong = CliRunner().invoke(app, ["list", "nothing"])
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)


def test_a_choice_that_is_no_yaml_is_named_and_hinders_no_other(own):
    (own / "record").mkdir()
    (own / "record" / "broken.yaml").write_text("every: [")
    wrong = CliRunner().invoke(app, ["list", "record", "--config-dir", str(own)])
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)
    assert "broken.yaml: is not valid YAML" in wrong.stderr
    assert "# training steps between" in CliRunner().invoke(app, ["show", "--config-dir", str(own)]).stdout
