"""The table of what is named of the things that were planted, for the benchmarks faults and findings."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping


def print_table(planted: Mapping[str, str | None], seeds: Iterable[int], found: Callable[[str, int], set[str]]) -> None:
    """Print a row for each thing that is planted.

    Args:
        planted: The name that each is to be given; None for a healthy training, which has nothing to be named.
        seeds: Seeds of the trainings.
        found: Names that are given, from what was planted and the seed.
    """
    seeds = list(seeds)
    print("| planted | named | missed | also named |\n| --- | ---: | ---: | --- |")
    for fault, name in planted.items():
        said = [found(fault, seed) for seed in seeds]
        named = sum(name in one for one in said)
        others = Counter(one for of_seed in said for one in of_seed if one != name)
        also = ", ".join(f"{one} {number}" for one, number in sorted(others.items())) or "nothing"
        first = f"{named} | {len(seeds) - named}" if name else "- | -"
        print(f"| {fault} | {first} | {also} |", flush=True)
