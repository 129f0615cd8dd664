"""The text of conf/README.md: all configuration keys and choices, read from the comments in the YAML files.

`python -m experiments.catalogue.readme` writes the file.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from experiments.catalogue.choices import CONF, choices, first_comment, groups
from experiments.catalogue.key_comments import options, read_comments

INTRODUCTION = """\
# conf

<!-- Generated from the comments in the YAML files by `make docs`. Do not edit. -->

All settings of `bptt`, as YAML files for [Hydra](https://hydra.cc). Set any key on the command line, such as
`bptt run cell=lstm task.length=200`. `bptt show` prints the configuration of a run, `bptt list` the choices of a group.
"""

ADDING = """\
## Adding a choice

1. Write a YAML file into the folder of its group: here, or into a folder of your own, such as `mine/cell/leaky.yaml`.
2. Say in its first line what the choice is, as a comment. `bptt list` prints this line.
3. Set `_target_` to the address of the Python class or function, and `_partial_: true` if the group's other files do.
4. List the arguments with their defaults, and explain each in a comment behind its value: meaning, unit, range.
5. Use it: `bptt run cell=leaky`, with `--config-dir mine` if it is in a folder of your own.
6. If the file is here, run `make docs` to update this page, and `make test`, which trains two steps with every choice.
"""


def readme() -> str:
    """The text of conf/README.md."""
    root = (CONF / "config.yaml").read_text(encoding="utf-8")
    defaults = {group: (choice, comment) for group, choice, comment in _defaults(root)}
    ordered = sorted(groups(), key=lambda group: [*defaults, group].index(group))
    sections = [INTRODUCTION, _map(ordered, defaults), ADDING, _keys(yaml.safe_load(root))]
    return "\n".join([*sections, *(_group(group, *defaults.get(group, ("", ""))) for group in ordered)])


def _defaults(root: str) -> Iterator[tuple[str, str, str]]:
    """The groups in the defaults list of config.yaml, each with its default choice and the comment behind it."""
    yield from re.findall(r"^  - (\w+): (\S+)(?: *# (.*))?$", root, flags=re.MULTILINE)


def _map(ordered: Iterable[str], defaults: Mapping[str, tuple[str, str]]) -> str:
    rows = [("[config.yaml](config.yaml)", "Defaults: the choice of each group, and all keys that belong to no group")]
    rows += [(f"[{group}/](#{group})", _capital(defaults.get(group, ("", ""))[1])) for group in ordered]
    return "## Map\n\n" + _table(("Path", "Content"), rows)


def _keys(root: Mapping[str, Any]) -> str:
    """A table of the keys of config.yaml that belong to no group."""
    comments = read_comments({})
    plain = {key: value for key, value in root.items() if key not in ("defaults", "hydra")}
    rows = [(f"`{key}`", f"`{value}`", comments.get(key, "")) for key, value in _flat(plain)]
    return "## Keys of config.yaml\n\n" + _table(("Key", "Default", "Meaning"), rows)


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The dotted keys of a configuration with their values, as YAML writes them."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, yaml.safe_dump(value).partition("\n")[0]


def _group(group: str, default: str, comment: str) -> str:
    """The section of a group: its choices, and the keys that each of them has."""
    files = choices(group)
    described = f"{_capital(comment)}. Default: `{default}`.\n\n" if comment else ""
    rows = [(f"`{group}={name}`", first_comment(path)) for name, path in files.items()]
    described += _table(("Choice", "Description"), rows)
    keys = [
        (f"`{name}`", f"`{option.key}`", f"`{option.default}`", option.comment)
        for name in files
        if group != "study"  # a study sets keys of other groups
        for option in options(group, name)
    ]
    return f"## {group}\n\n{described}" + ("\n" + _table(("Choice", "Key", "Default", "Meaning"), keys) if keys else "")


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


if __name__ == "__main__":
    (CONF / "README.md").write_text(readme(), encoding="utf-8")
