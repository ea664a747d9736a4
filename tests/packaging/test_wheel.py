"""What a user gets from the wheel: one top-level name, the app bundled inside, and a command that works anywhere."""

import json
import sys
import zipfile
from pathlib import Path

from tests.packaging.installed import BUNDLED, ROOT, Fedrec, build, run

TINY = (
    "--set=rounds=1",
    "--set=text.layers=1",
    '--set=evaluation.controls=["popularity"]',
)
ORIGINS = """
import json, sys
from fedrec import __main__ as start
sys.argv = ["fedrec", "version"]
try:
    start.main()
except SystemExit:
    pass
import clients.app, fedrec.run.job, server.app, server.strategies, simulations.runner
origins = {name: module.__file__ for name, module in list(sys.modules.items()) if getattr(module, "__file__", None)}
print(json.dumps(origins))
"""
"""Prints where each module came from, after the app was found as the command finds it."""


def members(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_only_top_level_name_is_fedrec(wheel: Path) -> None:
    tops = {member.split("/")[0] for member in members(wheel)}
    # A .pth file is no name: it says where the bundled app lies.
    assert {top for top in tops if not top.endswith(".dist-info")} == {"fedrec", "fedrec_app.pth"}


def test_every_file_of_the_four_packages_is_in_the_wheel_once(wheel: Path) -> None:
    sources = [path for top in ("fedrec", *BUNDLED) for path in (ROOT / top).rglob("*") if path.is_file()]
    paths = [path.relative_to(ROOT) for path in sources if "__pycache__" not in path.parts]
    wanted = [str(path) if path.parts[0] == "fedrec" else f"fedrec/_app/{path}" for path in paths]
    assert sorted(member for member in members(wheel) if ".dist-info/" not in member) == sorted(
        [*wanted, "fedrec_app.pth"]
    )


def test_the_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    sdist = build("sdist", ROOT, tmp_path)
    run(sys.executable, "-m", "tarfile", "-e", sdist, tmp_path, cwd=tmp_path)
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert sorted(members(build("wheel", unpacked, tmp_path))) == sorted(members(wheel))


def test_help_reads_the_same_from_any_directory(fedrec: Fedrec) -> None:
    assert "fedrec resume" in fedrec("--help").stdout


def test_strategies_are_listed_as_one_json_object(fedrec: Fedrec) -> None:
    assert {"fedavg", "fedadam", "median"} <= set(
        json.loads(fedrec("list", "strategies", "--json").stdout)["strategies"]
    )


def test_the_bundled_scenarios_are_valid(fedrec: Fedrec) -> None:
    assert "smoke: ok" in fedrec("validate", "smoke", "movielens").stdout


def test_the_main_job_runs_from_another_directory(fedrec: Fedrec, tmp_path: Path) -> None:
    shown = json.loads(fedrec("run", "smoke", *TINY, "--out", tmp_path / "run", "--json").stdout)
    saved = json.loads((tmp_path / "run" / "private" / "summary.json").read_text(encoding="utf-8"))
    assert saved["parameters_sha256"] == shown["parameters_sha256"]
    assert "last20" in saved["metrics"]["test"]
    assert (tmp_path / "run" / "public" / "report.html").is_file()


def test_each_module_comes_from_the_wheel_under_one_name(
    python: Path, elsewhere: Path, environment: dict[str, str]
) -> None:
    # -c puts the current directory, with the stranger's packages, first on the path; the app's root goes before it.
    printed = run(python, "-c", ORIGINS, cwd=elsewhere, env=environment).stdout.splitlines()[-1]
    installed = python.parents[1]
    ours = {
        name: Path(origin) for name, origin in json.loads(printed).items() if name.split(".")[0] in {"fedrec", *BUNDLED}
    }
    assert {name.split(".")[0] for name in ours} == {"fedrec", *BUNDLED}
    assert not [name for name in ours if name.startswith("fedrec._app")]
    assert len(set(ours.values())) == len(ours)
    for name, origin in ours.items():
        top = name.split(".")[0]
        root = ("fedrec", "_app", top) if top in BUNDLED else (top,)
        assert origin.is_relative_to(installed)
        assert origin.parts[origin.parts.index("site-packages") + 1 :][: len(root)] == root
