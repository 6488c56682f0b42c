"""The map, further/README.md, and benchmarks/further.py, which makes its tables anew."""

import re

import pytest

from benchmarks import further
from further import beside

TEXT = """# Map

Measured with `python -m further.one PHOTOGRAPHS --seeds 0 1`:

| a |
| --- |
| 1 |

| b |
| --- |
| 2 |

Some words.

Measured with `python -m further.two`:

| c |
| --- |
| 3 |
"""


def test_the_commands_are_read_from_the_map():
    assert further.commands(TEXT) == {"one": ["PHOTOGRAPHS", "--seeds", "0", "1"], "two": []}


def test_a_table_takes_the_place_of_all_tables_below_its_command_and_of_nothing_else():
    old, new = "| a |\n| --- |\n| 1 |\n\n| b |\n| --- |\n| 2 |", "| n |\n| --- |\n| 9 |\n\n| m |\n| --- |\n| 8 |"
    assert further.with_table(TEXT, "one", f"\n{new}\n\n") == TEXT.replace(old, new)
    assert further.with_table(TEXT, "two", "| c |\n| --- |\n| 3 |") == TEXT
    first = TEXT.replace("| c |\n| --- |\n| 3 |\n", "")  # a section before its first measurement
    assert further.with_table(first, "two", "| c |\n| --- |\n| 3 |") == TEXT


def test_each_system_is_run_and_its_table_and_picture_are_put_into_the_map(tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text(TEXT)
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(further, "README", tmp_path / "README.md")
    monkeypatch.setattr(further, "ASSETS", tmp_path)
    monkeypatch.setattr(beside, "RESULTS", tmp_path / "results")
    seen = []

    def run(system, arguments):
        seen.append((system, arguments))
        (tmp_path / "results" / f"{system}.md").write_text(f"| of {system} |\n| --- |\n")
        (tmp_path / "results" / f"{system}.png").write_bytes(b"picture")

    monkeypatch.setattr(further, "run", run)
    further.main(["faces", "--folder", "kept"])
    assert seen == [("one", ["faces", "--seeds", "0", "1", "--folder", "kept/one"]), ("two", ["--folder", "kept/two"])]
    text = (tmp_path / "README.md").read_text()
    assert "| of one |" in text and "| of two |" in text and "| 1 |" not in text and "Some words." in text
    assert (tmp_path / "two.png").read_bytes() == b"picture"


def test_a_system_that_the_map_lacks_and_one_that_fails_are_one_line(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        further.main(["faces", "nothing", "--folder", "kept"])
    assert "the map has no table of nothing; it has " in capsys.readouterr().err
    (tmp_path / "README.md").write_text("Measured with `python -m further.stability nowhere`:\n\n")
    monkeypatch.setattr(further, "README", tmp_path / "README.md")
    with pytest.raises(SystemExit, match=r"^further.py: further.stability ended with the error above[^\n]*$"):
        further.main(["faces", "--folder", str(tmp_path / "kept")])


def test_every_system_of_the_map_has_its_picture_and_its_paper():
    text = further.README.read_text(encoding="utf-8")
    sections = {re.search(r": (\w+)\.py$", part.splitlines()[0]).group(1): part for part in text.split("\n## ")[1:]}
    runnable = set(re.findall(r"^\| `python -m further\.(\w+)` ", text, re.M))
    assert runnable <= sections.keys() and set(further.commands(text)) <= runnable
    for name, part in sections.items():
        assert (further.README.parent / f"{name}.py").is_file()
        assert "- What differs: " in part and "- Try next: " in part
        assert name not in further.commands(text) or f"](../assets/{name}.png)" in part
    for picture in re.findall(r"\]\((\.\./assets/[^)]*)\)", text):
        assert (further.README.parent / picture).is_file()
