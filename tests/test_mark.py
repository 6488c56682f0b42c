"""A folder of submissions becomes marks and pages: with made-up results, and with the real judge."""

import csv
import functools
import html.parser
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import classroom
import pytest
from classroom import changed, follow, hand_in, png, result

from common import FaceError
from teaching import mark, marks, page, submissions
from teaching.limits import Limits
from teaching.run import judge
from teaching.submissions import submissions_in

ROOT = Path(__file__).resolve().parent.parent


def run(folder, **how):
    """Mark with follow() for a judge. Returns: the rows of marks.csv by name, and what mark() returned."""
    out = folder.with_name("marks")
    done = mark.mark(folder, out, judge=follow, **how)
    return rows(out), done


def rows(out):
    with open(out / "marks.csv", encoding="utf-8-sig", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def judged(out):
    return len(list((out / "judged").glob("*.json")))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A class's folder, whose submissions are judged one after the other in this process, which is quicker."""
    monkeypatch.setattr(mark, "_judge_all", one_by_one)
    return tmp_path / "class"


@pytest.fixture
def judged_apart(tmp_path, monkeypatch):
    """The same, judged in processes of their own."""
    monkeypatch.setattr(mark, "FACES", 8)
    return tmp_path / "class"


def one_by_one(to_do, jobs, judge):
    for learner, submission in to_do:
        learner.update(mark._work(judge, submission, None, learner["kept"]))


# --- What was handed in -----------------------------------------------------------------------------------------------


def test_notebooks_folders_and_zips_are_found(tmp_path):
    (tmp_path / "ada.ipynb").write_text("1")
    (tmp_path / "bob" / "deep").mkdir(parents=True)
    (tmp_path / "bob" / "deep" / "x.ipynb").write_text("2")
    (tmp_path / "bob" / "deep" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "bob" / "deep" / ".ipynb_checkpoints" / "x.ipynb").write_text("old")
    with zipfile.ZipFile(tmp_path / "cy.zip", "w") as archive:
        archive.writestr("./work/face.ipynb", "3")
        archive.writestr("__MACOSX/work/._face.ipynb", "no")
        archive.writestr("report.html", "no")
    (tmp_path / "dee").mkdir()
    (tmp_path / "cy.zip").rename(tmp_path / "cy.ZIP")
    (tmp_path / "dee" / "submission.zip").write_bytes((tmp_path / "cy.ZIP").read_bytes())
    (tmp_path / ".DS_Store").write_text("no")
    (tmp_path / "out").mkdir()
    found = submissions_in(tmp_path, but=tmp_path / "out")
    assert {one.name: one.notebook() for one in found} == {"ada": b"1", "bob": b"2", "cy": b"3", "dee": b"3"}


def test_what_is_no_notebook_has_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "LARGEST", 100_000)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "a.ipynb").write_text("1")
    (tmp_path / "two" / "b.ipynb").write_text("2")
    (tmp_path / "none").mkdir()
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "a.ipynb").symlink_to(tmp_path / "two" / "a.ipynb")
    (tmp_path / "page.pdf").write_text("%PDF")
    (tmp_path / "cut.zip").write_bytes(b"PK\3\4 and no more")
    (tmp_path / "big.ipynb").write_bytes(bytes(100_001))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.ipynb", bytes(5_000_000))
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("../../a.ipynb", "out")
    said = {}
    for one in submissions_in(tmp_path):
        try:
            said[one.name] = one.notebook()
        except FaceError as error:
            said[one.name] = str(error)
    words = {"out": "holds no notebook", "two": "holds 2 notebooks (a.ipynb, b.ipynb)", "none": "holds no notebook",
             "link": "holds no notebook", "page": "page.pdf is no notebook", "cut": "no zip that can be read",
             "big": "larger than", "bomb": "larger than"}
    assert said.keys() == words.keys() and all(words[name] in said[name] for name in words), said


def test_the_zip_s_directory_may_lie_about_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "LARGEST", 100_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.ipynb", bytes(5_000_000))
    data = (tmp_path / "bomb.zip").read_bytes().replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    (tmp_path / "bomb.zip").write_bytes(data)
    with pytest.raises(FaceError):
        submissions_in(tmp_path)[0].notebook()


def test_names_that_differ_little_do_not_meet(tmp_path):
    for name in ("Ada.ipynb", "ada.ipynb", "a da.ipynb", "a_da.ipynb", "class.ipynb", "x.ipynb", "x.zip", "\u00c4.ipynb",
                 "x" * 200, "a\u0308.ipynb", "Con.ipynb", ".hidden.ipynb", os.fsdecode(b"\xff.ipynb"),
                 os.fsdecode(b"\xfe.ipynb")):
        (tmp_path / name).write_text("1")
    found = submissions_in(tmp_path)
    assert len(found) == 13  # one is hidden
    assert len({one.page.casefold() for one in found}) == len({one.name for one in found}) == 13
    assert all(re.fullmatch(r"[\w-]{1,87}", one.page) for one in found)
    assert not {"class", "con"} & {one.page.casefold() for one in found}
    assert {"x.ipynb", "x.zip"} == {one.name.split(" ")[0] for one in found if one.name.startswith("x.")}


def test_a_folder_that_is_none_or_empty_is_one_line(tmp_path, capsys):
    for wrong, words in ((tmp_path / "nowhere", "cannot be listed"), (tmp_path, "holds no submissions")):
        with pytest.raises(SystemExit) as stopped:
            mark.main([str(wrong), "--out", str(tmp_path.parent / "m")])
        assert words in stopped.value.code and "\n" not in stopped.value.code
    for wrong in (["--jobs", "0"], ["--jobs", "x"], ["--advice", "2"], ["--advice", "nan"]):
        with pytest.raises(SystemExit):
            mark.main([str(tmp_path), *wrong])
        assert "number from 1 on" in (said := capsys.readouterr().err) or "share from 0 to 1" in said


# --- Marks ------------------------------------------------------------------------------------------------------------


def test_marks_and_reasons(judged_apart):
    hand_in(judged_apart, ada=result(), bob=result(scale="wrong", discriminator="advice"), cy="fault",
            dee=result(scale="stopped") | {"stopped": "memory: more than 4 GB"})
    (judged_apart / "eve.txt").write_text("sorry")
    found, done = run(judged_apart, jobs=2, advice=0.5)
    assert done == (5, 4)
    assert list(found["ada"]) == ["name", "get_dataloader", "scale", "discriminator", "question-1", "question-2", "sum",
                                  "stopped", "seconds"]
    assert found["ada"]["sum"] == "12" and found["ada"]["question-1"] == "" and found["ada"]["seconds"] == "28"
    assert found["bob"]["scale"] == "0" and found["bob"]["discriminator"] == "3" and found["bob"]["sum"] == "7"
    assert "ZeroDivisionError" in found["cy"]["stopped"] and found["cy"]["sum"] == ""
    assert found["dee"]["stopped"] == "memory: more than 4 GB" and found["dee"]["sum"] == "10"
    assert "eve.txt is no notebook" in found["eve"]["stopped"]
    assert "eve.txt is no notebook" in (judged_apart.with_name("marks") / "eve.html").read_text()


def test_advice_costs_nothing_unless_asked(folder):
    hand_in(folder, bob=result(discriminator="advice"))
    assert run(folder)[0]["bob"]["sum"] == "12"
    found, done = run(folder, advice=0.75)
    assert found["bob"]["discriminator"] == "4.5" and done == (1, 0)  # and nobody is judged again for it


def test_only_what_changed_is_judged_again(folder, monkeypatch):
    hand_in(folder, ada=result(), bob=result())
    assert run(folder)[1] == (2, 2)
    assert run(folder)[1] == (2, 0)
    hand_in(folder, bob=result(scale="wrong"))
    found, done = run(folder)
    assert done == (2, 1) and found["bob"]["scale"] == "0"
    for broken in (folder.with_name("marks") / "judged").glob("ada-*.json"):
        broken.write_text(broken.read_text()[:-9])
    assert run(folder)[1] == (2, 1)
    monkeypatch.setattr(mark, "DECIDES", (Path(__file__),))
    assert run(folder)[1] == (2, 2)  # by another judge


def test_the_teacher_s_marks_and_columns_stay(folder):
    hand_in(folder, ada=result(), bob=result())
    out = folder.with_name("marks")
    run(folder)
    text = (out / "marks.csv").read_text(encoding="utf-8-sig").splitlines()
    table = [line.split(",") for line in text]
    table[0].append("note")
    table[1][4:6], table[2][4:6] = ["2.5", "1"], ["late", ""]
    table[1].append("well done")
    for delimiter, encoding in ((",", "utf-8"), (";", "cp1252"), ("\t", "utf-8-sig")):
        lines = [delimiter.join(row) for row in table]
        if delimiter == ";":
            lines = [line.replace("2.5", "2,5").replace("well done", "sch\u00f6n") for line in lines]
        (out / "marks.csv").write_text("\r\n".join(lines), encoding=encoding)
        hand_in(folder, cy=result())
        mark.mark(folder, out, judge=follow)
        found = marks.read(out / "marks.csv")
        assert found["ada"]["sum"] == "15.5" and found["ada"]["question-1"] in ("2.5", "2,5"), delimiter
        assert found["ada"]["note"] in ("well done", "sch\u00f6n") and found["bob"]["question-1"] == "late"
        assert found["bob"]["sum"] == found["cy"]["sum"] == "12"
        assert (out / "marks.csv").read_text(encoding="utf-8-sig").count(delimiter) >= 9 * 4
    assert "15.5" in (out / "ada.html").read_text()
    (out / "marks.csv").write_text("\ufeffname,scale,question-1\r\nzoe,2,3\r\n", encoding="utf-8")
    run(folder)
    assert "zoe,2,3" in (out / "marks.before.csv").read_text()  # nothing that a teacher wrote is lost


def test_no_cell_is_a_formula(folder):
    names = ("=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "-5")
    hand_in(folder, **{name.replace("/", "_"): result() for name in names})
    out = folder.with_name("marks")
    for _ in range(2):
        run(folder)
        with open(out / "marks.csv", encoding="utf-8-sig", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert "'=1+1" in cells and "'@SUM(1)" in cells
        assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))] == ["-5"]
    assert "=1+1" in marks.read(out / "marks.csv") and len(marks.read(out / "marks.csv")) == 5


@pytest.mark.parametrize("held", [b"", b"\0\0name", b"name\n\n", b"no such,columns\nada,1\n",
                                  "name,\u00e9\n".encode("utf-16")])
def test_a_table_that_is_none_is_replaced_and_kept(folder, held):
    hand_in(folder, ada=result())
    out = folder.with_name("marks")
    out.mkdir()
    (out / "marks.csv").write_bytes(held)
    assert run(folder)[0]["ada"]["sum"] == "12"
    assert (out / "marks.before.csv").read_bytes() == held


# --- Pages ------------------------------------------------------------------------------------------------------------


EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}\"'><iframe src=//evil.example>"


class Tags(html.parser.HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_nothing_that_was_handed_in_becomes_markup(folder):
    found = result(scale="wrong", discriminator="stopped")
    for key in ("words", "answer"):
        found = changed(found, "scale", **{key: f"Expected: {EVIL}\nGot: {EVIL}\n" if key == "words" else EVIL})
    found["questions"][0]["answer"] = found["stopped"] = EVIL
    found["cells_failed"] = [{"cell": EVIL, "error": EVIL}]
    found["altered"] = [EVIL]
    found["report"] = ('<table><tr><td>a</td><td>b<script>alert(3)</script></td><td onclick="alert(4)">c</td>'
                       f"<td>{EVIL.replace('<', '&lt;')}</td></tr></table><iframe srcdoc=x>")
    found["pictures"]["curves"] = f'{png()}" onerror="alert(5)'
    name = EVIL.replace("/", "\u2215")[:100]
    hand_in(folder, **{name: found, "b": found})
    run(folder)
    out = folder.with_name("marks")
    pages = list(out.glob("*.html"))
    assert len(pages) == 3
    for path in pages:
        text = path.read_text(encoding="utf-8")
        tags = Tags(text).tags
        assert not {"script", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in tags}
        assert not [key for _, attrs in tags for key in attrs if key.startswith("on")]
        assert all(attrs["src"].startswith("data:image/") for tag, attrs in tags if tag == "img")
        assert all(re.fullmatch(r"[\w%-]+\.html", attrs["href"]) for tag, attrs in tags if tag == "a")
        assert "{{ 7 * 7 }}" in text.replace("&#39;", "'") and "default-src 'none'" in text
    assert "alert(5)" not in "".join(path.read_text(encoding="utf-8") for path in pages)


def test_a_learner_s_page_holds_all_of_it(folder):
    found = result(scale="wrong", discriminator="advice")
    found["cells_failed"] = [{"cell": "D = Discriminator(64)", "error": "TypeError: no"}]
    hand_in(folder, ada=found)
    run(folder, advice=0.5)
    text = re.sub(r"\s+", " ", (folder.with_name("marks") / "ada.html").read_text())
    for words in ("<strong>7 of 18 points", "2 questions not marked yet", "Judged in 28 s", "scale: wrong, 0 of 2",
                  "<dt>Expected</dt>", "values from 0.2 to 0.7.</dd>", "discriminator: advice, 3 of 6", "D has no dropout",
                  "<details><summary>The answer</summary><pre>def scale", "Soft hair.", "Not answered",
                  "measured on 1000 faces", "26.8", "0.011", "4 &lt; 6", "D = Discriminator(64)",
                  "the solution took this answer's place"):
        assert words in text, words
    assert text.count("data:image/png;base64,") == 2


def test_the_class_s_page(folder):
    wrong = [changed(result(scale="wrong"), "scale", words=classroom.WRONG.format(number, number))
             for number in (0.7, 0.8, -1)]
    hand_in(folder, ada=wrong[0], bob=wrong[1], cy=wrong[2], dee=result(scale="stopped") | {"stopped": "prints without end"},
            eve=result(discriminator="not begun"), fay=result() | {"altered": ["problem_unittests.py"]})
    run(folder)
    text = re.sub(r"\s+", " ", (folder.with_name("marks") / "class.html").read_text())
    assert "6 submissions, 6 judged" in text
    assert re.findall(r"<h3>(\d+) x (\w+)</h3>", text) == [("3", "scale"), ("1", "scale")] and "to # to # to #" in text
    assert re.search(r"3 x scale.*?</dl> <p> *<a href=\"ada.html\">ada</a>, <a href=\"bob.html\">bob</a>, "
                     r"<a href=\"cy.html\">cy</a> *</p>", text)
    bars = re.findall(r"<div><strong>(\w+)</strong>", text)
    assert bars == ["scale", "discriminator", "get_dataloader"]  # most failures first
    assert all(words in text for words in ("2 passed", "3 wrong", "1 stopped", "1 not begun"))
    assert "prints without end" in text and "changed problem_unittests.py" in text
    assert text.count("data:image/jpeg;base64,") == 6 and "26.8, 0.298, 0" in text


@pytest.mark.parametrize("picture", [None, "", "%%%", "iVBORw0KGgo=", png()[:60], png()[4:]])
def test_a_picture_that_is_none_is_left_out(picture):
    assert page.png(picture) is None


def test_a_picture_that_unpacks_to_too_much_is_left_out(monkeypatch):
    assert page.png(png(50, 50)) and page.png(png(50, 50), 20)
    monkeypatch.setattr(page, "PIXELS", 2000)
    assert page.png(png(50, 50)) is None


def test_texts_without_end_are_cut(folder):
    endless = 3_000_000 * "x"
    hand_in(folder, ada=changed(result(scale="wrong"), "scale", words=f"Expected: {endless}", answer=endless))
    run(folder)
    assert (folder.with_name("marks") / "ada.html").stat().st_size < 100_000


# --- Interrupted ------------------------------------------------------------------------------------------------------


SLOW = """
import pathlib, signal, time
import classroom
from teaching import mark

def slow(path, faces):
    began = pathlib.Path(__file__).parent / "began"
    with began.open("a") as file:
        file.write(".")
    try:
        if began.stat().st_size > 2:
            time.sleep(60)
    finally:
        with (began.parent / "ended").open("a") as file:
            file.write(".")
    return classroom.result()

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background it may be ignored
    mark.judge, mark.FACES = slow, 8
    mark.mark.__defaults__ = (*mark.mark.__defaults__[:-1], slow)
    mark.main(["class", "--jobs", "2"])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_was_stopped_goes_on(judged_apart, number):
    hand_in(judged_apart, **{name: result() | {"submission": name} for name in "abcdef"})
    (judged_apart.parent / "slow.py").write_text(SLOW)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
                                "TMPDIR": str(judged_apart.parent)}
    process = subprocess.Popen([sys.executable, "slow.py"], cwd=judged_apart.parent, env=environment, text=True,
                               stderr=subprocess.PIPE)
    began, ended = judged_apart.parent / "began", judged_apart.parent / "ended"
    out = judged_apart.with_name("class-marks")
    until = time.monotonic() + 60
    while not (began.exists() and began.stat().st_size >= 4) and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    if number == signal.SIGINT:
        assert said.strip().endswith("stopped; what was judged is kept: run it again to go on") and "Traceback" not in said
    while ended.stat().st_size < 4 and time.monotonic() < until:
        time.sleep(0.1)
    assert ended.stat().st_size == 4  # the two that were begun were ended, and no other was begun
    assert judged(out) == 2
    assert mark.mark(judged_apart, out, judge=follow) == (6, 4)
    assert judged(out) == 6 and len(rows(out)) == 6


# --- The real judge ---------------------------------------------------------------------------------------------------


@pytest.fixture
def narrow(tmp_path):
    """The judge with a reference whose networks are narrow, and with time for a machine that has other work."""
    pytest.importorskip("ipykernel")
    import submissions as made
    made.write(made.solved(), tmp_path / "narrow.ipynb")
    return functools.partial(judge, limits=Limits(whole=1200, cell=120, given=300), reference=tmp_path / "narrow.ipynb")


def test_with_the_real_judge(judged_apart, narrow, monkeypatch):
    monkeypatch.setattr(mark, "FACES", 60)
    notebook = json.loads((ROOT / "face_generation.ipynb").read_text(encoding="utf-8"))
    hand_in(judged_apart, ada=notebook)
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "scale":
            cell["source"] = "def scale(x, feature_range=(-1, 1)):\n    return x"
    with zipfile.ZipFile(judged_apart / "bob.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("work/face_generation.ipynb", json.dumps(notebook))
    (judged_apart / "cy.ipynb").write_text("no notebook")
    out = judged_apart.with_name("marks")
    assert mark.mark(judged_apart, out, jobs=2, judge=narrow) == (3, 3)
    found = rows(out)
    assert {name: (row["sum"], row["scale"]) for name, row in found.items()} == {
        "ada": ("41", "2"), "bob": ("39", "0"), "cy": ("", "")}
    assert "is no notebook" in found["cy"]["stopped"] and not found["ada"]["stopped"] + found["bob"]["stopped"]
    text = (out / "bob.html").read_text(encoding="utf-8")
    assert "scale: wrong, 0 of 2" in text and "<dt>Where to look</dt>" in text and "<h2>Rubric</h2>" in text
    assert text.count("data:image/png;base64,") == 2 and "measured on 1000 faces" in text
