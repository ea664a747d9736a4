"""The engines' benchmark: its arithmetic by hand, and its small form for real."""

import inspect
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from fedrec.core.errors import ConfigError, FedrecError
from fedrec.core.progress import silent
from fedrec.run.environment import environment
from simulations.benchmarks.engines.cases import CASES, Comparison, Settings
from simulations.benchmarks.engines.competitors import Child
from simulations.benchmarks.engines.kept import Kept
from simulations.benchmarks.engines.pfl import check_environment
from simulations.benchmarks.engines.pfl_side import NEEDS
from simulations.benchmarks.engines.run import bench, comparison_result, run_comparison, same_work
from simulations.benchmarks.engines.table import show
from simulations.benchmarks.engines.times import limit_of, measures, ratios, turns
from simulations.cli import bench as bench_command
from simulations.cli.app import app
from simulations.cli.bench import engines as command

ROOT = Path(__file__).parents[3]

SMALL = Settings(repeats=2, small=True, flower=False, competitors=())


def test_competitors_take_turns_and_who_has_fewer_repetitions_is_passed_over() -> None:
    found = list(turns({"a": 3, "b": 1, "c": 2}))
    assert found == [(1, "a"), (1, "b"), (1, "c"), (2, "a"), (2, "c"), (3, "a")]
    assert list(turns({})) == []


def test_the_median_counts_and_not_the_mean() -> None:
    found = measures([1.0, 100.0, 2.0], clients=8)
    assert found["seconds"] == [1.0, 100.0, 2.0]
    # the middle of 1, 2, 100; 8 clients in 2 s; 2000 ms / 8
    assert (found["median_s"], found["clients_per_s"], found["ms_per_client"]) == (2.0, 4.0, 250.0)
    assert measures([1.0, 4.0], clients=1)["median_s"] == 2.5


def test_a_ratio_says_how_many_times_as_fast() -> None:
    medians = {"ours": 2.0, "flower": 10.0, "central-64": 1.0, "central-32": 0.5, "by-length-32": 0.1}
    found = ratios(medians, ["flower", "pfl", "limit"])
    # 10 / 2, and the limit is the faster central one: 0.5 / 2
    assert found["ours"] == {"flower": 5.0, "limit": 0.25}
    assert found["flower"] == {"limit": 0.05}
    assert (limit_of(medians), limit_of({"ours": 2.0})) == ("central-32", None)


def test_a_comparison_tells_of_every_single_time() -> None:
    comparison = Comparison("hand", 4, {}, ("flower",), facts={"registered": 9})
    answers = {"ours": [{"seconds": 1.0}, {"seconds": 3.0}], "flower": [{"seconds": 8.0}]}
    found = comparison_result(comparison, answers)
    assert found["competitors"]["ours"]["seconds"] == [1.0, 3.0]
    assert found["competitors"]["ours"]["ratios"] == {"flower": 4.0}
    assert (found["title"], found["clients"], found["facts"], found["limit"]) == ("hand", 4, {"registered": 9}, None)


def test_work_is_the_same_if_the_changes_agree_in_every_round() -> None:
    ours, flower = [{"update_norm": 1.0}, {"update_norm": 2.0}], [{"update_norm": 1.00001}]
    assert same_work([ours, flower]) is True
    assert same_work([ours, [{"update_norm": 1.0}, {"update_norm": 2.1}]]) is False
    assert same_work([ours, [{"seconds": 1.0}]]) is None


def test_an_unknown_case_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no case speed; there are training, limit"):
        bench(["speed"], SMALL, silent, tmp_path)


def test_a_competitor_that_breaks_down_says_why() -> None:
    with (
        pytest.raises(FedrecError, match="competitor odd broke down: KeyError: 'nonsense'"),
        Child("odd", {"act": "nonsense"}),
    ):
        pass


class Counting:
    """A competitor in this process; it breaks down in the round it is told to."""

    def __init__(self, breaks_at: int = 0, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.breaks_at, self.error, self.played, self.ended = breaks_at, error, [], []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.ended.append(kind)

    def run_round(self, number: int) -> dict:
        if number == self.breaks_at:
            message = f"round {number}"
            raise self.error(message)
        self.played.append(number)
        return {"seconds": float(number)}


def compared(folder: Path, **competitors: Counting) -> dict:
    about = {"benchmark": "engines", "repeats": 3}
    comparison = Comparison("comparison", 1, competitors, ())
    return run_comparison("hand", comparison, Settings(repeats=3), silent, Kept.at(folder, about))


def test_a_competitor_that_fails_is_left_out_and_the_others_are_measured(tmp_path: Path) -> None:
    cold, late, well = Counting(1, FedrecError), Counting(3, FedrecError), Counting()
    found = compared(tmp_path, cold=cold, late=late, well=well)
    assert found["failed"] == {"cold": "round 1", "late": "round 3"}
    # round 1 warms up; what the second measured before it failed stays
    assert {name: one["seconds"] for name, one in found["competitors"].items()} == {"late": [2.0], "well": [2, 3, 4]}
    assert (cold.ended, late.ended, well.ended) == ([FedrecError], [FedrecError], [None])
    again = compared(tmp_path, cold=Counting(), late=Counting(), well=Counting())
    assert (again["failed"], len(again["competitors"])) == ({}, 3)


@pytest.mark.parametrize("broken", [[], ["b"], ["a", "b"]])
def test_a_failure_is_told_beside_what_was_measured(
    broken: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = compared(tmp_path, **{name: Counting(1 if name in broken else 0, FedrecError) for name in "ab"})
    result = {"cases": {"hand": {"about": "By hand.", "comparisons": [found]}}, "cores": 2, "kept": "here"}
    result["environment"] = environment()
    monkeypatch.setattr("simulations.benchmarks.engines.run.bench", lambda *_: result)
    for arguments in ([], ["--json"]):
        with pytest.raises(SystemExit) as end:
            app(["bench", "engines", "--quiet", *arguments])
        assert end.value.code == (1 if broken else 0)
        out, err = capfd.readouterr()
        assert all(f"hand, comparison: {name}: round 1" in err for name in broken)
    assert json.loads(out)["cases"]["hand"]["comparisons"][0]["failed"] == dict.fromkeys(broken, "round 1")
    assert ("error" in json.loads(out)) == bool(broken)


def test_an_interrupted_benchmark_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    asked, about = Settings(repeats=3), {"benchmark": "engines", "repeats": 3}
    first = {"a": Counting(), "b": Counting(breaks_at=3)}
    kept = Kept.at(tmp_path, about)
    with pytest.raises(KeyboardInterrupt):
        run_comparison("hand", Comparison("comparison", 1, first, ()), asked, silent, kept)
    # round 1 warms up; a played 2 and 3, b 2
    assert (first["a"].played, first["b"].played) == ([1, 2, 3], [1, 2])
    with kept.path.open("a") as file:
        file.write('{"comparison": "torn')
    second = {"a": Counting(), "b": Counting()}
    found = run_comparison("hand", Comparison("comparison", 1, second, ()), asked, silent, Kept.at(tmp_path, about))
    assert (second["a"].played, second["b"].played) == ([1, 4], [1, 3, 4])
    assert [found["competitors"][name]["seconds"] for name in "ab"] == [[2.0, 3.0, 4.0]] * 2
    third = {"a": Counting(), "b": Counting()}
    assert (
        run_comparison("hand", Comparison("comparison", 1, third, ()), asked, silent, Kept.at(tmp_path, about))[
            "competitors"
        ]
        == found["competitors"]
    )
    assert third["a"].played == third["b"].played == []


def test_a_comparison_of_one_competitor_and_nothing_to_say_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    comparison = {**comparison_result(Comparison("alone", 1, {}, ()), {"ours": [{"seconds": 1.0}]}), "failed": {}}
    around = {"cores": 2, "environment": environment(), "kept": "runs/bench/engines-0.jsonl"}
    show({"cases": {"scale": {"about": "Many.", "comparisons": [comparison]}}, **around})
    assert "alone" in capsys.readouterr().out


def test_what_was_measured_under_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    kept = Kept.at(tmp_path, {"benchmark": "engines", "repeats": 3})
    assert Kept.at(tmp_path, {"benchmark": "engines", "repeats": 4}).path != kept.path
    with pytest.raises(ConfigError, match="under other settings; name another file, or remove it"):
        Kept(kept.path, {"benchmark": "engines", "repeats": 4})
    kept.path.write_text(kept.path.read_text() + "no JSON\n")
    with pytest.raises(ConfigError, match=r"cannot be read .* remove it"):
        Kept(kept.path, {"benchmark": "engines", "repeats": 3})


def assert_whole(result: dict, case: str, against: str | None) -> None:
    """The promised keys are there, and every number is finite and positive."""
    assert json.loads(json.dumps(result)) == result
    assert result.keys() == {"benchmark", "settings", "cores", "environment", "kept", "cases"}
    assert result["environment"]["torch"]
    assert result["cases"][case]["about"]
    for comparison in result["cases"][case]["comparisons"]:
        told = {"title", "clients", "facts", "limit", "same_work", "competitors", "load_before", "failed"}
        assert comparison.keys() == told
        assert comparison["failed"] == {}
        for name, competitor in comparison["competitors"].items():
            assert len(competitor["seconds"]) == SMALL.repeats
            numbers = [competitor[key] for key in ("median_s", "clients_per_s", "ms_per_client", "start_s")]
            assert all(math.isfinite(value) and value > 0 for value in [*numbers, *competitor["ratios"].values()])
            assert competitor["peak_mb_above_start"] >= 0
            assert against is None or against in competitor["ratios"] or name == against


def test_training_is_put_beside_the_limit(tmp_path: Path) -> None:
    competitors = (
        "central-32",
        "vectorised-user",
    )  # a child each, of seven seconds; the others differ by settings alone
    result = bench(["limit"], Settings(**{**vars(SMALL), "competitors": competitors}), silent, tmp_path)
    assert_whole(result, "limit", "limit")
    (comparison,) = result["cases"]["limit"]["comparisons"]
    assert tuple(comparison["competitors"]) == competitors
    assert comparison["competitors"][comparison["limit"]]["ratios"]["limit"] == 1.0
    assert all(0 <= share < 1 for share in comparison["facts"]["padding"].values())


def test_clients_that_do_nothing_are_timed_beside_pfl(tmp_path: Path) -> None:
    asked = Settings(**{**vars(SMALL), "competitors": ("inprocess", "pfl-1"), "pfl": stand_in(tmp_path)})
    result = bench(["trivial"], asked, silent, tmp_path)
    for comparison in result["cases"]["trivial"]["comparisons"]:
        comparison["competitors"].pop("pfl-1")
    assert_whole(result, "trivial", "pfl-1")


def stand_in(folder: Path, *missing: str) -> Path:
    """Return an interpreter that answers as pfl's would: what it lacks, or after a look at its work its times."""
    script = folder / "python"
    told = {"rounds": [0.25], "version": "0", "torch": "0"}
    script.write_text(
        f"#!{sys.executable}\nimport json, pathlib, sys\n"
        f"if sys.argv[1] == '-c': sys.exit(print(json.dumps([True, {list(missing)!r}])))\n"
        "work = json.loads((pathlib.Path(sys.argv[-1]) / 'work.json').read_text())\n"
        "assert (work['kind'], work['rounds'], work['parameters']) == ('trivial', 2, 1000)\n"
        f"print('chatter'); print(json.dumps({told!r}))\n"
    )
    script.chmod(0o755)
    return script


def test_what_pfls_environment_lacks_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    asked = Settings(pfl=stand_in(tmp_path, "pfl", "peft"))
    with pytest.raises(ConfigError, match=r"lacks pfl, peft; .*-m pip install 'pfl\[pytorch\]' 'peft'"):
        bench(["trivial"], asked, silent, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    with pytest.raises(ConfigError, match=r"no interpreter that runs \(.*nowhere"):
        check_environment(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"lacks pfl; .* needs it"):
        check_environment(Path(sys.executable))


IMPORTS = """
import ast, json, sys
from pathlib import Path
import simulations.benchmarks.engines.pfl_side
ours = [m for n, m in sys.modules.items() if n.split(".")[0] in ("fedrec", "simulations") and m.__file__]
found = set()
for module in ours:
    for node in ast.parse(Path(module.__file__).read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {a.name for a in node.names} if isinstance(node, ast.Import) else {node.module}
print(json.dumps(sorted({name.split(".")[0] for name in found} - sys.stdlib_module_names - {"fedrec", "simulations"})))
"""
"""Prints what the modules that pfl's side loads import at their top, from outside of Python and fedrec."""


def test_what_pfls_side_needs_is_what_it_imports_and_stands_in_the_help() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True)
    later = ("peft", "pfl")  # a LoRA's is imported when the LoRA is attached
    assert sorted([*json.loads(done.stdout), *later]) == sorted(NEEDS)
    said = inspect.getsource(bench_command) + (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert all(said.count(package) >= 2 for package in NEEDS.values())


def test_the_command_knows_every_case() -> None:
    assert all(case in (command.__doc__ or "") for case in CASES)
