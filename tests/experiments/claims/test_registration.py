"""Claims are registered before their verdict seeds are run: what decides a verdict has a fingerprint and a commit."""

import subprocess

import pytest

from experiments.catalogue.choices import choices, claims_of_studies
from experiments.claims import registration as registering
from experiments.claims.claim import NAMES
from experiments.claims.registration import (
    ROOT,
    Registered,
    committed_fingerprint,
    fingerprint,
    registration,
)
from experiments.errors import UsageError

STUDY_OF = {claim: study for study, claims in claims_of_studies().items() for claim in claims}

HOW = "commit the claim and its study, run `make register`, and commit experiments/claims/registered.csv"

FOLDER, STUDY = "experiments/claims/published", "conf/study/exploding.yaml"

FILES = {
    f"{FOLDER}/clipped_learns.py": '''"""Over how wide a range."""

from experiments.claims.null import shuffled
from experiments.claims.published.clipping_prevents import ranges
from experiments.claims.quantity import over_seeds

STATEMENT, SOURCE = "It learns", "me"
FIGURE = "success"
VIEW = {"x": "clip.threshold"}
NULL = shuffled("clip")


def measure(tables):
    """Measure the range."""
    return [over_seeds("factor", ranges(tables.summary), at_least=20)]
''',
    f"{FOLDER}/clipping_prevents.py": '''"""Over how wide a range."""

STATEMENT = "It does not jump"


def ranges(runs):
    """The range of each seed."""
    return [round(max(rows) / min(rows), 6) for _, rows in runs.groupby("seed")["clip.threshold"]]
''',
    STUDY: """# Clipping
study: {name: exploding}
claims: [clipping_prevents, clipped_learns]
init: {gain: 1.1}
scales:
  small:
    - {seed: range(5), clip: none}
  paper:
    - {seed: range(5), clip: none, batch_size: 20}
""",
}


def path_of(claim):
    return choices("study")[STUDY_OF[claim]].relative_to(ROOT).as_posix()


def of(changes=()):
    """The fingerprint of a claim in `FILES` with a text in it replaced, for each (end of path, old text, new text)."""
    files = dict(FILES)
    for end, old, new in changes:
        (path,) = [path for path in files if path.endswith(end)]
        assert old in files[path]
        files[path] = files[path].replace(old, new)
    return fingerprint("clipped_learns", STUDY, files.__getitem__)


def test_every_claim_of_ours_is_registered_as_it_is_now():
    rows = {row.claim: row.fingerprint for row in registering.registered_claims().values()}
    now = {claim: fingerprint(claim, path_of(claim)) for claim in NAMES}
    missing = sorted(claim for claim in now if claim not in rows)
    changed = sorted(claim for claim in now if rows.get(claim, now[claim]) != now[claim])
    assert rows == now, f"not registered: {missing}; changed since: {changed}: {HOW}"


def test_the_commits_that_are_registered_have_the_fingerprints():
    """So the history shows that what decides was fixed in that commit, and nothing was registered by hand."""
    rows = registering.registered_claims().values()
    git = subprocess.run(["git", "rev-parse", "--is-shallow-repository"], cwd=ROOT, capture_output=True, text=True)
    if git.stdout.strip() != "false":
        pytest.skip("the history of the repository is not here")
    assert {row.claim: committed_fingerprint(row.claim, path_of(row.claim), row.commit) for row in rows} == {
        row.claim: row.fingerprint for row in rows
    }


@pytest.mark.parametrize(
    "change",
    [
        ("clipped_learns.py", '"It learns"', '"It does learn"'),
        ("clipped_learns.py", '"""Measure the range."""', '"""Find the range."""'),
        ("clipped_learns.py", 'FIGURE = "success"', "# Why not\nFIGURE =  'training'"),
        ("clipped_learns.py", "VIEW = {", "VIEW = {'compare': 'seed', "),
        ("clipped_learns.py", "NULL =", 'REMARK = "Mind this."\nKIND = "check"\nNULL ='),
        ("clipping_prevents.py", '"It does not jump"', '"It never jumps"'),
        (".yaml", "# Clipping", "# A comment"),
        (".yaml", "claims: [", "claims: [training_jumps, "),
        (".yaml", "  paper:", "  tuning:\n    - {seed: range(3)}\n  paper:"),
        (".yaml", "batch_size: 20", "batch_size: 200"),  # of scale=paper
    ],
)
def test_words_figures_comments_and_other_scales_decide_nothing(change):
    assert of([change]) == of()


@pytest.mark.parametrize(
    "change",
    [
        ("clipped_learns.py", "at_least=20", "at_least=10"),
        ("clipped_learns.py", "at_least=20", "at_most=20"),
        ("clipped_learns.py", "over_seeds", "everywhere"),
        ("clipped_learns.py", 'shuffled("clip")', 'shuffled("clip", "clip.threshold")'),
        ("clipping_prevents.py", ", 6)", ", 5)"),
        (".yaml", "gain: 1.1", "gain: 1.2"),
        (".yaml", "{seed: range(5), clip: none}\n  paper", "{seed: range(6), clip: none}\n  paper"),
    ],
)
def test_a_bound_a_statistic_a_null_or_a_setting_decides(change):
    assert of([change]) != of()


def write_files(folder):
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def test_what_has_changed_since_is_said(monkeypatch, tmp_path):
    row = Registered("clipped_learns", of(), "abc123", "2026-01-01")
    write_files(tmp_path)
    monkeypatch.setattr(registering, "ROOT", tmp_path)
    monkeypatch.setattr(registering, "registered_claims", lambda: {"clipped_learns": row})
    study = tmp_path / STUDY
    assert registration("clipped_learns", study) == "abc123"
    assert registration("clipped_learns", study, ["results_dir=mine", "hydra.launcher.x=1"]) == "abc123"
    with_other = registration("clipped_learns", study, ["seed=range(200,205)", "steps=3"])
    assert with_other == "abc123, but with seed=range(200,205) steps=3"
    study.write_text(study.read_text().replace("gain: 1.1", "gain: 1.2"))
    assert registration("clipped_learns", study) == "changed since abc123"
    assert registration("of_a_user", study) == ""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """The folder of a repository with `FILES`, and a function that commits its content."""
    write_files(tmp_path)
    registered = tmp_path / "experiments/claims/registered.csv"
    registered.write_text("claim,fingerprint,commit,date\n")
    monkeypatch.setattr(registering, "ROOT", tmp_path)
    monkeypatch.setattr(registering, "REGISTERED", registered)
    monkeypatch.setattr(registering, "claims_of_studies", lambda: {"exploding": ["clipped_learns"]})
    monkeypatch.setattr(registering, "choices", lambda group: {"exploding": tmp_path / STUDY})

    def git(*arguments):
        person = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *person, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)

    def commit():
        git("add", "-A")
        git("commit", "-qm", "x", "--allow-empty")
        return git("rev-parse", "--short=10", "HEAD").stdout.strip()

    git("init", "-q")
    return tmp_path, commit


def rewrite(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def test_what_is_registered_is_the_last_commit_and_stays_until_something_decides_otherwise(repository):
    folder, commit = repository
    module = folder / FOLDER / "clipped_learns.py"
    first = commit()
    assert registering.register() == ["clipped_learns"]
    assert registering.registered_claims()["clipped_learns"].commit == first
    rewrite(module, '"me"', '"somebody else"')
    commit()
    assert registering.register() == []
    assert registering.registered_claims()["clipped_learns"].commit == first
    rewrite(module, "at_least=20", "at_least=10")
    second = commit()
    assert registering.register() == ["clipped_learns"]
    assert registering.registered_claims()["clipped_learns"].commit == second != first


@pytest.mark.parametrize("path", [f"{FOLDER}/clipped_learns.py", f"{FOLDER}/clipping_prevents.py", STUDY])
def test_nothing_is_registered_before_it_is_committed(repository, path):
    folder, commit = repository
    commit()
    rewrite(folder / path, {".yaml": "gain: 1.1"}.get(path[-5:], "round" if "prevents" in path else "20"), "2")
    with pytest.raises(UsageError, match=r"clipped_learns: its module or .* differs from commit"):
        registering.register()
    assert registering.registered_claims() == {}


def test_a_claim_that_was_never_committed_is_not_registered(repository):
    folder, commit = repository
    module = folder / FOLDER / "clipped_learns.py"
    text = module.read_text()
    module.unlink()
    commit()
    module.write_text(text)
    with pytest.raises(UsageError, match="differs from commit"):
        registering.register()


def test_without_a_repository_one_line_says_so(repository):
    with pytest.raises(UsageError, match=r"^git show: fatal: "):
        registering.register()
