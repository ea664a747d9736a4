"""The folder of an audit: whole or not there, and a page that opens anywhere."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedrec.attacks.audit.noise import noise_check
from fedrec.attacks.audit.one_run import LowerBound
from fedrec.attacks.audit.verdict import Reach, Verdict
from fedrec.core.errors import RunError
from fedrec.reporting.attacks.audit_directory import claim_folder, is_audit, read_audit, render_again, write_audit

BOUND = LowerBound(0.5, 1e-5, 0.95, 100, 50, 30, most=3.0)
IDENTITY: dict[str, Any] = {
    "experiment": {"name": "<b>smoke</b>", "fingerprint": "ab" * 32, "toml": "rounds = 4\n"},
    "asked": {"canaries": 100, "access": "white-box"},
}


def record(verdict: Verdict) -> dict[str, Any]:
    return {**IDENTITY, "verdict": verdict.to_json()}


def honest() -> Verdict:
    noise = noise_check([{"w": np.array([1.0, -1.0])}, {"w": np.array([1.0, 1.0])}])
    return Verdict(8.0, BOUND, "white-box", LowerBound(1.25, 1e-5, 0.95, 100, 50, 30, most=6.5, mu=0.3), noise=noise)


def page(folder: Path) -> str:
    return (folder / "private" / "report.html").read_text(encoding="utf-8")


def test_nothing_of_it_is_public(tmp_path: Path) -> None:
    assert claim_folder(tmp_path, IDENTITY) is None
    write_audit(tmp_path, record(honest()))
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["private/audit.json", "private/checksums.json", "private/report.html"]


def test_what_was_found_is_read_back_and_shown(tmp_path: Path) -> None:
    write_audit(tmp_path, record(honest()))
    assert claim_folder(tmp_path, IDENTITY) == read_audit(tmp_path)
    for text in ("The claim survives", "8.00", "0.50", "1.25", "3.00", "6.50", "1.0000", "&lt;b&gt;smoke"):
        assert text in page(tmp_path), text
    assert "<b>smoke" not in page(tmp_path)


def test_a_claim_that_is_false_or_infinite_is_shown_as_such(tmp_path: Path) -> None:
    write_audit(tmp_path / "false", record(Verdict(0.25, BOUND, "black-box", reach=Reach(2.0, 4))))
    assert "by 2 times the clip norm" in page(tmp_path / "false")
    assert "The longest of 4 contributions of one user is 2.0000 clip norms" in page(tmp_path / "false")
    write_audit(tmp_path / "open", record(Verdict(float("inf"), BOUND, "black-box")))
    assert read_audit(tmp_path / "open")["verdict"]["epsilon_claimed"] == "inf"
    assert "were not measured." in page(tmp_path / "open")


def test_what_a_killed_audit_left_is_no_obstacle_and_anything_else_is(tmp_path: Path) -> None:
    write_audit(tmp_path / "one", record(honest()))
    (tmp_path / "one" / "private" / "checksums.json").unlink()
    (tmp_path / "one" / "private" / ".audit.json.abcdefgh").touch()
    assert not is_audit(tmp_path / "one")
    assert claim_folder(tmp_path / "one", IDENTITY) is None
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "mine.txt").touch()
    with pytest.raises(RunError, match=r"exists and is no audit: it holds mine.txt; choose another --out"):
        claim_folder(tmp_path / "two", IDENTITY)
    with pytest.raises(RunError, match="is a file; choose another --out"):
        claim_folder(tmp_path / "two" / "mine.txt", IDENTITY)


def test_another_audit_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    write_audit(tmp_path, record(honest()))
    with pytest.raises(RunError, match="holds another audit, of <b>smoke</b>; choose another --out"):
        claim_folder(tmp_path, {**IDENTITY, "asked": {"canaries": 101, "access": "white-box"}})
    file = tmp_path / "private" / "audit.json"
    file.write_text(file.read_text(encoding="utf-8").replace("0.5", "0.1"), encoding="utf-8")
    for read in (lambda: claim_folder(tmp_path, IDENTITY), lambda: render_again(tmp_path)):
        with pytest.raises(RunError, match=r"audit\.json is not what was written"):
            read()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no browser here")
def test_the_page_opens_in_a_browser_without_an_error(tmp_path: Path) -> None:
    write_audit(tmp_path, record(honest()))
    place = (tmp_path / "private" / "report.html").as_uri()
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}")
    opened = subprocess.run(
        ["chromium", *options, "--enable-logging=stderr", "--dump-dom", place],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "epsilon is at least" in opened.stdout
    assert not [line for line in opened.stderr.splitlines() if "CONSOLE" in line]
