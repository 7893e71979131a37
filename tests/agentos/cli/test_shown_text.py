"""Control characters of strangers reach neither the terminal nor a picture."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from rich.table import Table

from agentos.cli.display.console import SafeConsole
from agentos.cli.main import _CleanFormatter
from agentos.data.printable_text import printable
from agentos.reporting.network.draw import draw_network
from agentos.reporting.pictures import save, to_svg
from protocols.topologies import TOPOLOGIES

EVIL = "a\x1b]0;PWN\x07\x1b[31m\x9b2J\u202eb\r\x00\ud800\ufffe"


def test_text_without_control_characters_is_unchanged() -> None:
    text = "Zoë ∂ 漢字 👩‍👩‍👧 a\tb\nc \\x1b"
    assert printable(text) == text


@given(st.text(alphabet=st.characters()))
def test_shown_text_holds_nothing_that_acts(text: str) -> None:
    shown = printable(text)
    assert all(c in "\n\t" or not (ord(c) < 32 or 127 <= ord(c) < 160) for c in shown)
    assert printable(shown) == shown


def test_console_writes_out_control_characters_and_keeps_its_own_colours() -> None:
    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, width=300, color_system="standard")
    table = Table(title=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    console.print(table)
    console.print(EVIL, markup=False, highlight=False, soft_wrap=True)
    console.print(f"[red]red[/] {EVIL}")
    shown = file.getvalue()
    assert "\x1b[31mred" in shown
    assert "\\x1b]0;PWN" in shown
    for sign in ("\x1b]", "\x07", "\x9b", "\u202e", "\x00", "\ud800"):
        assert sign not in shown


def test_logged_text_is_cleaned() -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 0, "%s", (EVIL,), None)
    assert "\x1b" not in _CleanFormatter("%(message)s").format(record)


def test_names_with_control_characters_draw_into_well_formed_pictures(tmp_path: Path) -> None:
    network = TOPOLOGIES["ring"]().build(agents=3, seed=0)
    figure = draw_network(network, names=(EVIL, "b", "c"), title=EVIL)
    save(figure, tmp_path / "x.svg")
    ElementTree.parse(tmp_path / "x.svg")
    save(figure, tmp_path / "x.png")
    plain = Figure()
    plain.suptitle(EVIL)
    ElementTree.fromstring(to_svg(plain).replace("xlink:", ""))


@pytest.mark.parametrize("source", ['name: "a\\e[2J"', '"\\e]0;PWN\\a": 1'])
def test_an_error_shows_no_control_characters(source: str, tmp_path: Path) -> None:
    path = tmp_path / "esc.yaml"
    path.write_text(source)
    command = [sys.executable, "-m", "agentos.cli", "validate", str(path)]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == 2
    assert b"\x1b" not in done.stdout + done.stderr
    assert json.dumps("\\x1b")[1:-1].replace("\\\\", "\\").encode() in done.stderr
