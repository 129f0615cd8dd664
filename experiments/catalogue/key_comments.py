"""The comments in the YAML files, which explain each key; for `bptt show` and `bptt list`."""

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import yaml

from experiments.catalogue.choices import CONF, choices, first_comment, first_docstring_line, groups
from experiments.catalogue.measures import measures
from experiments.errors import UsageError

LEAST_WIDTH = 24
"""Width of a comment on a narrow terminal, in columns."""


class Option(NamedTuple):
    """One option of a choice.

    Attributes:
        key: Dotted key, such as 'cell.forget_bias'.
        default: Value in the choice's YAML file, as written there.
        comment: Meaning of the key; '' if no file explains it.
    """

    key: str
    default: str
    comment: str


def options(group: str, name: str, config_dir: Path | None = None) -> list[Option]:
    """List the options in a choice's YAML file; their comments may stand in the choice that it builds on.

    Raises:
        UsageError: The file is not valid YAML.
    """
    files = choices(group, config_dir)
    text = files[name].read_text(encoding="utf-8")
    try:
        meanings = _read_choice(group, name, files)
    except yaml.YAMLError as error:
        raise UsageError(f"{files[name]}: is not valid YAML: {' '.join(str(error).split())}") from None
    return [
        Option(f"{group}.{path}", text[value.start_mark.index : value.end_mark.index], meanings[f"{group}.{path}"])
        for path, _, value in _keys(text)
        if isinstance(value, yaml.ScalarNode) and not path.startswith(("_", "defaults"))
    ]


def read_comments(chosen: Mapping[str, str], config_dir: Path | None = None) -> dict[str, str]:
    """Read the comment of each key of the configuration, by dotted key.

    Args:
        chosen: Name of the choice, for each group where it is known; for other groups, all choices are read.
        config_dir: Folder with the user's own choices.
    """
    comments = _read((CONF / "config.yaml").read_text(encoding="utf-8"))
    for group in groups(config_dir):
        files = choices(group, config_dir)
        if group in chosen:
            comments |= {group: first_comment(files[chosen[group]]), f"{group}.name": f"one of {', '.join(files)}"}
        elif group == "record":
            comments[group] = f"what is measured; one of {', '.join(files)}"
        for name in [chosen[group]] if group in chosen else files:
            found: dict[str, str] = {}
            with suppress(yaml.YAMLError):  # a choice that this run does not use may be broken
                found = _read_choice(group, name, files)
            comments = found | {key: comment for key, comment in comments.items() if comment or key not in found}
    switches = {f"record.{name}": path for name, path in measures(config_dir).items()}
    return {key: f"true or false: write {first_docstring_line(path)}" for key, path in switches.items()} | {
        key: comment for key, comment in comments.items() if comment or key not in switches
    }


def annotate(text: str, comments: Mapping[str, str], width: int) -> str:
    """Add a comment after each key of a YAML text; a long comment continues below. The values stay the same.

    Args:
        text: YAML in block style, one value per line.
        comments: Comments by dotted key.
        width: Width of the terminal, in columns.
    """
    lines = text.splitlines()
    said = {
        (value.end_mark if isinstance(value, yaml.ScalarNode) else key.end_mark).line: comments.get(path, "")
        for path, key, value in _keys(text)
    }
    column = min(max((len(lines[number]) for number, comment in said.items() if comment), default=0) + 2, 30)
    annotated = []
    for number, line in enumerate(lines):
        begin = max(column, len(line) + 2)
        folded = textwrap.wrap(said.get(number, ""), max(LEAST_WIDTH, width - column - 2), break_on_hyphens=False)
        annotated.append(f"{line:<{begin}}# {folded[0]}" if folded else line)
        annotated += [f"{'':{column}}# {rest}" for rest in folded[1:]]
    return "".join(f"{line}\n" for line in annotated)


def _read_choice(group: str, name: str, files: Mapping[str, Path]) -> dict[str, str]:
    """The comments in a choice's file; for keys without one, those of the choices that it builds on."""
    text = files[name].read_text(encoding="utf-8")
    # The keys of a study belong to the whole configuration.
    prefix = "" if "@package _global_" in text else f"{group}."
    comments = {prefix + key: comment for key, comment in _read(text).items()}
    for entry in (yaml.safe_load(text) or {}).get("defaults", []):
        if isinstance(entry, str) and entry in files and entry != name:
            base = _read_choice(group, entry, files)
            comments = base | {key: comment for key, comment in comments.items() if comment or key not in base}
    return comments


def _read(text: str) -> dict[str, str]:
    """The comment of each key in a YAML text: after its value, or on the lines above it."""
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if not line.startswith("#") and line.strip()), 0)
    comments = {}
    for path, key, value in _keys(text):
        end = value.end_mark if value.start_mark.line == key.end_mark.line else key.end_mark
        rest = lines[end.line][end.column :].lstrip(": ") if end.line < len(lines) else ""
        if rest.startswith("#"):
            comments[path] = " ".join([rest[1:].strip(), *_below(lines[end.line + 1 :], lines[end.line].rindex(rest))])
        else:
            number = key.start_mark.line
            above = [] if number == first else [*_above(reversed(lines[:number]), key.start_mark.column)]
            comments[path] = " ".join(reversed(above))
    return comments


def _below(lines: list[str], column: int) -> Iterator[str]:
    """The lines on which a comment after a value continues."""
    for line in lines:
        if not line[:column].isspace() or line[column : column + 1] != "#":
            return
        yield line[column + 1 :].strip()


def _above(lines: Iterator[str], column: int) -> Iterator[str]:
    """The lines of a comment above a key, from the bottom up."""
    for line in lines:
        if not line.lstrip().startswith("#") or len(line) - len(line.lstrip()) != column:
            return
        yield line.strip().removeprefix("#").strip()


def _keys(text: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Each dotted key of a YAML text, with the nodes of its key and value."""

    def walk(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield prefix + str(key.value), key, value
                yield from walk(value, f"{prefix}{key.value}.")

    yield from walk(yaml.compose(text), "")
