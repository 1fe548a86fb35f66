"""Compares small random histories with brute force: `python -m bench.linearizability --fuzz N`."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from pathlib import Path
from random import Random
from types import ModuleType

from tabulate import tabulate

from raft_chaos.invariants.linearizability.operations import Model

ORACLE = Path(__file__).parent.parent / "tests" / "invariants"
MODELS: tuple[Model, ...] = ("register", "kv", "kv-append", "list-append")
MODELS_OF_COLUMNS: tuple[Model, ...] = ("register", "kv")
FEATURES = (
    "valid",
    "violated",
    "unknown",
    "refused, reported",
    "refused, unreported",
    "repeated",
    "delete",
    "equal times",
)
FEATURES_OF_COLUMNS = ("valid", "violated", "proved as columns", "several keys")


def oracle(module: str) -> ModuleType:
    """The brute-force checker of the tests."""
    if str(ORACLE) not in sys.path:
        sys.path.insert(0, str(ORACLE))
    return importlib.import_module(module)


def fuzz(count: int, seed: str, most: int = 8) -> bool:
    """Compares with brute force, also witnesses and cores, and prints the counts; False at the first difference."""
    brute, small, agreement = map(oracle, ("brute_force", "small_histories", "linearizability_agreement"))
    rows = []
    for model in MODELS:
        for number in range(count // 4):
            operations = small.honest(Random(f"{seed}/honest/{model}/{number}"), model)
            difference = agreement.search_differs(operations, model, True)
            if difference:
                print(f"{model}, seed {seed}, valid history {number}: {difference}", *operations, sep="\n")
                return False
        seen: Counter[str] = Counter()
        for number in range(count):
            operations = small.history(Random(f"{seed}/{model}/{number}"), model, most)
            valid = brute.linearizable(operations, model)
            difference = agreement.difference(operations, model, valid)
            if difference:
                print(f"{model}, seed {seed}, history {number}: {difference}", *operations, sep="\n")
                return False
            seen.update(small.features(operations))
            seen["valid" if valid else "violated"] += 1
        rows.append([model, f"{count:,}", *(f"{seen[name] / count:.1%}" for name in FEATURES)])
    print(tabulate(rows, headers=["model", "histories", *FEATURES], tablefmt="github", disable_numparse=True))
    return fuzz_columns(count, seed)


def fuzz_columns(count: int, seed: str) -> bool:
    """The same for columns, of several keys, with numbers close together and far apart."""
    brute, agreement = oracle("brute_force"), oracle("columns_agreement")
    rows = []
    for model in MODELS_OF_COLUMNS:
        seen: Counter[str] = Counter()
        for number in range(count):
            random = Random(f"{seed}/columns/{model}/{number}")
            operations, spread = agreement.several_keys(random, model), random.choice([1, agreement.FAR])
            valid = brute.linearizable(operations, model)
            difference = agreement.columns_differ(operations, model, valid, spread)
            if difference:
                print(f"{model}, seed {seed}, columns {number}: {difference}", *operations, sep="\n")
                return False
            seen["valid" if valid else "violated"] += 1
            seen["proved as columns"] += agreement.proved(operations, spread)
            seen["several keys"] += len({operation.key for operation in operations}) > 1
        rows.append([model, f"{count:,}", *(f"{seen[name] / count:.1%}" for name in FEATURES_OF_COLUMNS)])
    headers = ["columns of", "histories", *FEATURES_OF_COLUMNS]
    print("\n" + tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True))
    return True
