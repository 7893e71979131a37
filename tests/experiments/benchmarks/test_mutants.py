"""Mutants change one expression of logic, and are shown to the tests of its module."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from experiments.benchmarks.fuzzing import mutants
from experiments.benchmarks.fuzzing.code_changes import mutants_of
from experiments.benchmarks.fuzzing.importing_tests import suites_of
from experiments.benchmarks.fuzzing.mutants import (
    ENDLESS,
    KILLED,
    SURVIVED,
    drawn,
    keep,
    known,
    table,
    verdict,
)

SOURCE = '''
LIMIT = 3


def cut(n: int = 2) -> int:
    """Return é, which takes two bytes."""
    if n < 1:
        raise ValueError(f"{n + 1} is too few")
    flush(n)
    return max(n, 5) if n else -n
'''


def test_mutants_change_logic_and_neither_errors_nor_annotations() -> None:
    found = [(mutant.before, mutant.after) for mutant in mutants_of("a.py", SOURCE)]
    assert sorted(found) == sorted(
        [
            ("n < 1", "(n <= 1)"),
            ("1", "(2)"),
            ("2", "(3)"),
            ("5", "(6)"),
            ("flush(n)", "pass"),
            ("max(n, 5)", "(min(n, 5))"),
            ("-n", "(n)"),
            ("max(n, 5) if n else -n", "(max(n, 5) if not n else -n)"),
        ]
    )
    for mutant in mutants_of("a.py", SOURCE):
        ast.parse(mutant.source)
        changed = zip(SOURCE.splitlines(), mutant.source.splitlines(), strict=True)
        assert sum(before != after for before, after in changed) == 1


def test_no_mutant_computes_what_the_program_computes() -> None:
    source = "def f(n, m=0.0):\n    return n + 0.5 if m else 0\n"
    assert all(
        ast.dump(ast.parse(mutant.source)) != ast.dump(ast.parse(source))
        for mutant in mutants_of("a.py", source)
    )


def test_mutants_are_drawn_by_the_seed() -> None:
    assert drawn(3, 5) == drawn(3, 9)[:5]
    assert drawn(3, 5) != drawn(4, 5)


def test_tests_beside_a_file_come_before_those_that_import_it() -> None:
    mirrored, others = suites_of("protocols/wire/frame.py")
    assert mirrored == ["tests/protocols/wire/test_frame.py"]
    assert "tests/protocols/wire/test_frame.py" not in others
    assert others[0] == "tests/protocols/wire/test_coding.py"
    assert set(suites_of("agents/text/masking.py")[1]) >= {
        "tests/agents/text/test_words.py",  # beside it
        "tests/agents/objectives/test_language_objectives.py",  # by way of an objective
    }
    assert "test_doc_examples.py" in suites_of("protocols/topologies/base.py")[0][-1]


def test_only_what_no_test_notices_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "protocols/wire").mkdir(parents=True)
    (tmp_path / "tests/protocols/wire").mkdir(parents=True)
    seen, unseen = list(mutants_of("protocols/wire/frame.py", "def f(n):\n    return n + 1 < 3\n"))[
        :2
    ]
    (tmp_path / "protocols/wire/frame.py").write_text("def f(n):\n    return n + 1 < 3\n")
    other = tmp_path / "tests/protocols/wire/test_broken.py"
    other.write_text("def test_broken(): raise OSError\n")  # with the mutant and without
    tests = [f"tests/protocols/wire/test_{name}.py" for name in ("frame", "broken")]
    monkeypatch.setattr(mutants, "suites_of", lambda path: (tests[:1], tests[1:]))
    (tmp_path / "tests/protocols/wire/test_frame.py").write_text(
        "import runpy\nfrom pathlib import Path\n\n\ndef test_two():\n"
        "    path = Path(__file__).parents[3] / 'protocols/wire/frame.py'\n"
        "    assert not runpy.run_path(str(path))['f'](2)\n"
    )
    assert verdict(seen, tmp_path, 1) == KILLED
    (tmp_path / "tests/protocols/wire/test_frame.py").write_text("def test_nothing(): pass\n")
    assert verdict(unseen, tmp_path, 2) == SURVIVED
    assert (tmp_path / "protocols/wire/frame.py").read_text().endswith("n + 1 < 3\n")


def test_table_counts_survivors_by_package() -> None:
    first, second = list(mutants_of("agents/a.py", SOURCE))[:2]
    text = table([(first, SURVIVED), (second, KILLED), (first, ENDLESS)], 0, 0)
    assert "| agents | 3 | 1 | 1 | 1 |" in text
    assert "| protocols | 0 | 0 | 0 | 0 |" in text
    assert text.count(f"- `{first}`") == 2
    assert str(second) not in text


def test_verdicts_are_kept_and_not_sought_again(tmp_path: Path) -> None:
    first, second = list(mutants_of("agents/a.py", SOURCE))[:2]
    assert known(tmp_path / "kept.jsonl") == {}
    keep(tmp_path / "kept.jsonl", first, KILLED)
    keep(tmp_path / "kept.jsonl", second, SURVIVED)
    assert known(tmp_path / "kept.jsonl") == {str(first): KILLED, str(second): SURVIVED}
