"""Ctrl-C is answered at once, also while a round takes its time, and the round in hand is finished and saved."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from fedrec.experiment.file import dump_experiment
from fedrec.run.directory import RunDirectory
from tests.tiny import tiny

ROOT = Path(__file__).parents[2]

WAITING = """
import pathlib

from server.strategies.fedavg import FedAvg


class Waiting(FedAvg):
    rounds = 0

    def step(self, update):
        self.rounds += 1
        if self.rounds == 2:
            print("round 2 waits", flush=True)
            pathlib.Path("go-on").read_text()
        return super().step(update)
"""


def test_ctrl_c_is_answered_while_the_round_in_hand_goes_on(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "waiting.py").write_text(WAITING)
    experiment = tiny(rounds=3, strategy={"name": "waiting:Waiting"})
    (tmp_path / "mine.toml").write_text(dump_experiment(experiment))
    go_on = tmp_path / "go-on"
    os.mkfifo(go_on)  # whoever reads it waits until somebody writes
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from fedrec.__main__ import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", script, "run", "mine.toml", "--out", "run"],
        cwd=tmp_path,
        env={**os.environ, "FEDREC_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline() == "starting\n"
        assert process.stdout.readline() == "round 2 waits\n"
        process.send_signal(signal.SIGINT)
        # Nothing but the answer can end this loop: the round waits for what is written only below.
        while "finishing round 2; press Ctrl-C again to stop now" not in process.stderr.readline():
            assert process.poll() is None
        go_on.write_text("now")
        process.communicate()
    assert process.returncode == 130
    saved = RunDirectory(tmp_path / "run").latest_checkpoint()
    assert saved is not None
    assert saved.round == 2
