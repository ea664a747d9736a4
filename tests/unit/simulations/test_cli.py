"""The command line with a runner that only pretends: what it is told, how it ends, what it prints where."""

import errno
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedrec.core.app import app_root
from fedrec.core.errors import FederationError, Interrupted, PrivacyError
from fedrec.experiment.config import Experiment
from fedrec.run.directory import RunDirectory
from simulations.cli.app import app
from tests.handmade import NEXT_ITEM

ROOT = Path(__file__).parents[3]
SCORES = {"last": {"ndcg@10": 0.151}, "last20": {"ndcg@10": 0.2}}
SUMMARY = {
    "fingerprint": "f" * 64,
    "parameters_sha256": "a" * 64,
    "task": NEXT_ITEM,
    "metrics": {"test": SCORES},
    "controls": {"popularity": {"test": SCORES}},
    "privacy": {"statement": "Whoever sees [everything] learns little.", "epsilon": 8.0},
    "communication": {"upload_bytes_per_client_round": 72_500},
}


class Finished:
    path = Path("runs/mine")
    report = path / "private" / "report.html"

    def summary(self) -> dict[str, Any]:
        return SUMMARY


class Runner(ModuleType):
    """Stands in for `simulations.runner`: remembers what it was told, and fails as it is asked to."""

    def __init__(self) -> None:
        super().__init__("simulations.runner")
        self.told: list[tuple[Any, ...]] = []
        self.failure: BaseException | None = None

    def run(self, *told: Any) -> Finished:
        self.told.append(told)
        print("a library prints this")
        told[-1]("rounds", 1, 1, "loss 5.31")
        if self.failure:
            raise self.failure
        return Finished()

    def resume(self, path: Path, options: Any, progress: Any, experiment: Experiment) -> Finished:
        return self.run(path, options, experiment, progress)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    runner = Runner()
    monkeypatch.setitem(sys.modules, "simulations.runner", runner)
    return runner


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


# run and resume


def test_run_gives_the_experiment_and_the_options_to_the_runner(runner: Runner) -> None:
    result = call("run", "smoke", "--set", "seed=7", "--engine", "flower", "--out", "here", "--tensorboard")
    experiment, options, _ = runner.told[0]
    assert experiment.seed == 7
    assert (options.engine, options.out, options.tensorboard, options.name) == ("flower", Path("here"), True, "smoke")
    assert result.exit_code == 0


def test_run_shows_scores_beside_controls_the_promise_and_the_report(runner: Runner) -> None:
    shown = call("run").stdout
    for text in (
        "Federated, this run",
        "Popularity",
        "0.151",
        "[everything]",
        "72.5 kB",
        "runs/mine/private/report.html",
    ):
        assert text in shown, text


def test_json_is_one_object_and_all_else_is_on_standard_error(runner: Runner) -> None:
    result = call("run", "--json")
    assert json.loads(result.stdout) == {**SUMMARY, "run": "runs/mine", "report": "runs/mine/private/report.html"}
    assert result.stdout.count("\n") == 1
    assert "a library prints this" in result.stderr
    assert "rounds 1/1" in result.stderr


def test_quiet_shows_no_progress(runner: Runner) -> None:
    assert "rounds" not in call("run", "--quiet").stderr


def test_what_child_processes_print_does_not_touch_the_json() -> None:
    script = """
import os, subprocess, sys
sys.path.insert(0, os.getcwd())
from tests.unit.simulations.test_cli import Runner
import simulations.plugins
class Loud(Runner):
    def run(self, *told):
        os.write(1, b"from C")
        subprocess.run(["echo", "from a child"])
        return super().run(*told)
sys.modules["simulations.runner"] = Loud()
simulations.plugins.registries_of = lambda *keys: {}
from simulations.cli.app import app
app(["run", "--json"])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"] == "runs/mine"
    assert "from C" in done.stderr
    assert "from a child" in done.stderr


def test_resume_says_which_experiment_it_believes_in(runner: Runner, tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", Experiment(), "mine")
    assert call("resume", str(run.path), "--set", "rounds=3").exit_code == 0
    path, options, experiment, _ = runner.told[0]
    assert (path, options.name, experiment.rounds) == (run.path, "mine", 3)


def test_resume_of_no_run_is_the_users_mistake(runner: Runner, tmp_path: Path) -> None:
    result = call("resume", str(tmp_path))
    assert result.exit_code == 2
    assert "is no run directory" in result.stderr


# how it ends


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (PrivacyError("no true claim"), 2, "no true claim"),
        (FederationError("2 replies of 5"), 1, "2 replies of 5"),
        (Interrupted(Path("runs/mine")), 130, "fedrec resume runs/mine"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.ENOSPC, "full"), 1, "here: No space left on device"),
        (PermissionError(errno.EACCES, "no", "/srv/x"), 2, "/srv/x: Permission denied"),
        (ZeroDivisionError("1/0"), 1, "this is a fault of fedrec, not yours (ZeroDivisionError: 1/0)"),
        (OSError(errno.EIO, "broken"), 1, "this is a fault of fedrec"),
    ],
)
def test_exit_codes_and_messages(runner: Runner, failure: BaseException, code: int, message: str) -> None:
    runner.failure = failure
    result = call("run", "--out", "here", "--json")
    assert result.exit_code == code
    assert message in result.stderr
    assert ("Traceback" in result.stderr) == ("fault of fedrec" in message)
    error = json.loads(result.stdout)["error"]
    assert message in error["message"]
    assert error["kind"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runn"], "Did you mean 'run'?"),
        (["run", "--engin", "x"], "--engine"),
        (["list", "strategie"], "'strategies'"),
        (["validate"], "Missing argument 'FILE...'"),
    ],
)
def test_a_wrong_command_line_is_one_message(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_all_mistakes_of_an_experiment_come_at_once_with_suggestions(runner: Runner) -> None:
    result = call("run", "--set", "privacy.epsilo=8", "--set", "strategy.name=fedavgg", "--set", "rounds=0", "--json")
    assert (result.exit_code, runner.told) == (2, [])
    message = json.loads(result.stdout)["error"]["message"]
    for text in ("3 mistakes", "did you mean 'epsilon'?", "did you mean 'fedavg'?", "rounds = 0: should be"):
        assert text in message, text


# the other commands


def test_validate_shows_the_mistakes_of_every_file(tmp_path: Path) -> None:
    good, bad, worse = (tmp_path / name for name in ("good.toml", "bad.toml", "worse.toml"))
    good.write_text("rounds = 3\n")
    bad.write_text("round = 3\n")
    worse.write_text('[privacy]\nepsilon = 8\ntrust = "central"\n')
    result = call("validate", str(good), str(bad), str(worse))
    assert result.exit_code == 2
    assert result.stdout == f"{good}: ok\n"
    assert "did you mean 'rounds'?" in result.stderr
    assert "no true privacy claim" in result.stderr


def test_validate_sees_that_data_files_are_missing_beside_the_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "mine.toml").write_text(
        '[data]\nname = "table"\npath = "log.csv"\n[data.table]\nitems_path = "items.csv"\n[privacy]\nepsilon = inf\n'
    )
    monkeypatch.chdir(tmp_path)
    result = call("validate", "experiments/mine.toml")
    assert result.exit_code == 2
    assert f"data.path is {folder / 'log.csv'}, which does not exist" in result.stderr
    assert f"data.table.items_path is {folder / 'items.csv'}, which does not exist" in result.stderr
    (folder / "log.csv").write_text("")
    (folder / "items.csv").write_text("")
    assert call("validate", "experiments/mine.toml").exit_code == 0


def test_validate_names_the_missing_files_of_every_platform(tmp_path: Path) -> None:
    tables = "".join(f'[platforms.{name}]\nname = "table"\npath = "{name}.csv"\n' for name in ("books", "films"))
    (tmp_path / "mine.toml").write_text(f"{tables}[privacy]\nepsilon = inf\n")
    result = call("validate", str(tmp_path / "mine.toml"))
    assert result.exit_code == 2
    assert f"platforms.books.path is {tmp_path / 'books.csv'}, which does not exist" in result.stderr
    assert f"platforms.films.path is {tmp_path / 'films.csv'}, which does not exist" in result.stderr


def test_a_partition_that_nobody_knows_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[federation]\npartition = "shard"\n')
    result = call("validate", str(tmp_path / "mine.toml"))
    assert result.exit_code == 2
    assert "federation.partition: unknown partition 'shard'; did you mean 'shards'?" in result.stderr


def test_data_describes_each_platform_of_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "books.csv").write_text("user,item\na,x\na,y\n")
    (tmp_path / "films.csv").write_text("user,item\na,p\na,q\nb,p\nb,r\n")
    tables = "".join(f'[platforms.{name}]\nname = "table"\npath = "{name}.csv"\n' for name in ("books", "films"))
    (tmp_path / "mine.toml").write_text(tables)
    found = json.loads(call("data", "describe", str(tmp_path / "mine.toml"), "--json").stdout)["platforms"]
    assert {name: facts["users"] for name, facts in found.items()} == {"books": 1, "films": 2}
    assert "films" in call("data", "describe", str(tmp_path / "mine.toml")).stdout


def test_validate_of_good_files_exits_with_0(tmp_path: Path) -> None:
    result = call("validate", "movielens", "smoke", "--json")
    assert result.exit_code == 0
    assert set(json.loads(result.stdout)["fingerprints"]) == {"movielens", "smoke"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("strategies", "fedavg"),
        ("tasks", "next_item"),
        ("models", "text_transformer"),
        ("adapters", "lora"),
        ("datasets", "movielens-100k"),
        ("partitions", "shards"),
        ("scenarios", "movielens"),
    ],
)
def test_list_names_each_kind_with_a_line_about_it(kind: str, name: str) -> None:
    entries = json.loads(call("list", kind, "--json").stdout)[kind]
    assert entries[name]
    assert name in call("list", kind).stdout


def test_data_describes_the_users_own_table(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("who,item\na,x\na,y\nb,x\nb,z\nc,x\n")
    result = call("data", "describe", str(tmp_path / "sales.csv"), "--set", "data.table.user=who", "--json")
    facts = json.loads(result.stdout)
    # c has one interaction, fewer than data.min_interactions = 2
    assert (facts["users"], facts["items"], facts["interactions"]) == (2, 3, 4)
    assert facts["cleaning"]["users_with_few_rows"] == 1
    assert "users" in call("data", "describe", str(tmp_path / "sales.csv"), "--set", "data.table.user=who").stdout


def test_data_knows_no_other_name() -> None:
    for command in ("get", "describe"):
        result = call("data", command, "movielens-100")
        assert result.exit_code == 2
        assert "did you mean 'movielens-100k'?" in result.stderr


def test_data_lists_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDREC_CACHE", str(tmp_path))
    sources = json.loads(call("data", "list", "--json").stdout)["datasets"]
    assert sources["movielens-100k"]["folder"] is None
    assert "movielens-100k" in call("data", "list").stdout


def test_report_of_no_run_is_the_users_mistake(tmp_path: Path) -> None:
    assert call("report", str(tmp_path)).exit_code == 2


def test_help_reads_like_a_manual() -> None:
    text = call("--help").stdout
    for line in ("Start here:", "fedrec run smoke", "Exit codes: 0 done", "FEDREC_CACHE"):
        assert line in text, line
    assert "Examples:\n    fedrec run\n" in call("run", "--help").stdout


# the console script


def test_help_imports_nothing_of_weight() -> None:
    script = (
        "import sys; from fedrec.__main__ import main; sys.argv = ['fedrec', '--help']\n"
        "try: main()\nexcept SystemExit: print({'torch', 'flwr', 'ray', 'polars'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")


def test_the_script_runs_from_any_folder_and_keeps_the_users_environment(tmp_path: Path) -> None:
    script = f"""
import os, sys
sys.path.append({str(ROOT)!r})
sys.argv = ["fedrec", "version"]
from fedrec.__main__ import QUIET_DEFAULTS, main
try:
    main()
except SystemExit:
    print(*(os.environ[name] for name in QUIET_DEFAULTS), sys.path[0])
"""
    environment = {"FLWR_TELEMETRY_ENABLED": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"1 1 1 0 1 {app_root()}"


def test_a_strategy_in_the_working_folder_is_found_by_name_and_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "sign_mean.py").write_text("from server.base import MeanStrategy\nclass SignMean(MeanStrategy): pass\n")
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "__init__.py").write_text("raise RuntimeError('a folder of the user own')")
    (tmp_path / "mine.toml").write_text('extends = "smoke"\n[strategy]\nname = "sign_mean:SignMean"\n')
    script = f"""
import sys
sys.path.append({str(ROOT)!r})
sys.argv = ["fedrec", "validate", "mine.toml"]
from fedrec.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "mine.toml: ok" in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_apps_root_is_the_checkout() -> None:
    assert app_root() == ROOT
