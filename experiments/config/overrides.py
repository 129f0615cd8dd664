"""Overrides as text: quoted for Hydra's grammar, and completed where bptt accepts more than Hydra. Imports no Hydra."""

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from experiments.catalogue.choices import choices, groups
from experiments.config.hydra_keys import refuse_in_study
from experiments.errors import UsageError


def quote(text: str) -> str:
    """Quote any text for Hydra's grammar."""
    return "'" + text.replace("'", r"\'") + "'"


def key_of(override: str) -> str:
    """The key of KEY=VALUE."""
    return override.partition("=")[0]


def normalize_overrides(overrides: Sequence[str], config_dir: Path | None) -> list[str]:
    """Rewrite what bptt accepts into what Hydra accepts.

    `~/` in a value becomes the home directory. Words with letters beyond ASCII are quoted. A key under
    `hydra.sweeper.params` may be new. `study=NAME` with a name that is not a choice of the group becomes
    `study.name=NAME`.

    Raises:
        UsageError: A study's name is nearly that of a choice, or there are several names; a choice is no single name.
    """
    studies = choices("study", config_dir)
    normalized = []
    for override in map(_quote_letters, map(_expand_home, map(_force_add_axis, overrides))):
        key, _, value = override.partition("=")
        name = value.strip("'\"")
        if key in groups(config_dir) and value[:1] in ("[", "{"):
            several = (
                f"; `bptt sweep {key}={value[1:-1]}` runs each of several"
                if len(value) > 2 and value.endswith("]")
                else ""
            )
            raise UsageError(f"{override}: give the name of one choice{several}")
        if key == "study" and name in studies:
            refuse_in_study(studies[name])
        is_quoted = key == "study.name" and re.fullmatch(r"(['\"]).*\1", value)
        if key not in ("study", "study.name") or is_quoted or (key == "study" and name in studies):
            normalized.append(override)
            continue
        if "," in name:
            raise UsageError(f"{override}: a study has one name")
        meant = [study for study in studies if study != "none"]
        if key == "study" and (near := difflib.get_close_matches(name, meant, n=1, cutoff=0.75)):
            raise UsageError(
                f"{override}: did you mean study={near[0]}? To give your own study this name, set study.name={name}"
            )
        normalized.append(f"study.name={quote(name)}")
    return normalized


def _force_add_axis(override: str) -> str:
    """Let hydra.sweeper.params.KEY=... set an axis whether or not the study has it."""
    return re.sub(r"^\+?(?=hydra\.sweeper\.params\b)", "++", override)


def _quote_letters(override: str) -> str:
    """Quote the words of a value that have letters beyond ASCII, such as Korean ones: Hydra's grammar lacks them."""
    key, equals, value = override.partition("=")
    if value.isascii() or re.search(r"['\"]", value):
        return override
    return key + equals + re.sub(r"[^,\[\](){}:=\s]*[^\x00-\x7f][^,\[\](){}:=\s]*", lambda word: quote(word[0]), value)


def _expand_home(override: str) -> str:
    """Expand KEY=~/x, as bash does; other shells leave the ~, which Hydra's grammar does not know."""
    key, _, value = override.partition("=")
    return f"{key}={quote(os.path.expanduser(value))}" if value.startswith("~/") or value == "~" else override
