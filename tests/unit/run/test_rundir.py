import errno
import os
import shutil

import pytest
import torch

from fedrec.core.errors import PrivacyError, RunError
from fedrec.experiment.config import Experiment
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.run import directory
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.directory import RunDirectory
from fedrec.run.free_folder import free_run
from fedrec.run.job import Job


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(Job, "plan", plan(Experiment(), UnitCounts(1, 1, 1), 1))
    return RunDirectory.create(tmp_path / "run", Experiment(rounds=3), "tiny")


def checkpoint(number):
    return Checkpoint(number, {"w": torch.tensor([float(number)])}, {}, 0, 1.0, {}, Ledger())


def saved(run, number):
    """Return the checkpoint of a round as it is read back."""
    run.save_checkpoint(checkpoint(number))
    return run.latest_checkpoint()


def test_a_new_run_tells_what_it_computes(run):
    assert run.name == "tiny"
    assert RunDirectory(run.path).experiment == Experiment(rounds=3)
    assert (run.path / "fingerprint").read_text() == Experiment(rounds=3).fingerprint + "\n"
    assert run.latest_checkpoint() is None
    assert run.rounds() == []


def test_an_existing_run_is_not_overwritten(run):
    with pytest.raises(RunError, match="is not empty; choose another --out, or `fedrec resume"):
        RunDirectory.create(run.path, Experiment(), "other")


def test_what_a_killed_creation_left_is_no_obstacle(run):
    (run.path / "checksums.json").rename(run.path / ".checksums.json.a1b2c3d4")
    with pytest.raises(RunError, match=r"is no run directory: it has no sealed experiment\.toml"):
        RunDirectory(run.path)
    assert RunDirectory.create(run.path, Experiment(rounds=5), "again").experiment.rounds == 5


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(RunError, match=r"run is a file; choose another --out"):
        RunDirectory.create(tmp_path / "run", Experiment(), "tiny")
    with pytest.raises(RunError, match=r"cannot be written \(Not a directory\)"):
        RunDirectory.create(tmp_path / "run" / "below", Experiment(), "tiny")


def test_a_full_or_read_only_disk_is_named(tmp_path, monkeypatch):
    def full(path, data, mode=0):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(directory, "write_whole", full)
    with pytest.raises(RunError, match=r"cannot be written \(No space left on device\); choose another --out"):
        RunDirectory.create(tmp_path / "run", Experiment(), "tiny")
    monkeypatch.undo()
    assert RunDirectory.create(tmp_path / "run", Experiment(), "tiny").rounds() == []


def test_rounds_are_read_back_without_a_torn_last_line(run):
    run.append_round({"round": 1, "loss": float("inf")})
    with (run.private / "metrics.jsonl").open("a") as file:
        file.write('{"round": 2, "lo')
    assert run.rounds() == [{"round": 1, "loss": "inf"}]
    run.rewind(saved(run, 1))
    run.append_round({"round": 2})
    assert [line["round"] for line in run.rounds()] == [1, 2]


def test_the_public_lines_hold_what_may_be_published_and_nothing_else(run):
    run.append_round({"round": 1, "loss": 2.0, "rejections": [{"client": 3}], "seconds": 1.5})
    run.append_round({"round": 2, "loss": 1.0})
    run.rewind(saved(run, 1))
    assert (run.public / "metrics.jsonl").read_text() == '{"loss":2.0,"round":1}\n'
    assert run.rounds()[0]["rejections"] == [{"client": 3}]


def test_a_field_without_a_class_cannot_be_written(run):
    with pytest.raises(PrivacyError, match=r"the field secret_size has no class"):
        run.append_round({"round": 1, "secret_size": 7})
    assert run.rounds() == []


def test_every_run_has_a_noise_key_of_its_own_that_its_owner_alone_can_read(run, tmp_path):
    other = RunDirectory.create(tmp_path / "other", Experiment(rounds=3), "tiny")
    keys = [found.private / "noise.key" for found in (run, other)]
    assert len({key.read_text() for key in keys}) == 2
    assert [key.stat().st_mode & 0o077 for key in keys] == [0, 0]


def test_rewind_drops_the_rounds_that_will_run_again(run):
    for number in range(4):
        run.append_round({"round": number})
    run.rewind(saved(run, 1))
    assert [line["round"] for line in run.rounds()] == [0, 1]


def test_the_newest_two_checkpoints_are_kept_and_the_newest_whole_one_counts(run):
    for number in range(4):
        run.save_checkpoint(checkpoint(number))
    folder = run.private / "checkpoints"
    assert [path.name for path in sorted(folder.iterdir())] == ["round-000002.safetensors", "round-000003.safetensors"]
    assert run.latest_checkpoint().round == 3
    (folder / "round-000003.safetensors").write_bytes(b"\0" * 8)
    assert run.latest_checkpoint().round == 2
    (folder / "round-000002.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"no checkpoint in .* can be read"):
        run.latest_checkpoint()


def test_one_process_at_a_time_and_torn_files_are_swept(run):
    torn = run.private / "checkpoints" / ".round-000001.safetensors.x8_zz1aa"
    torn.parent.mkdir()
    torn.write_bytes(b"half")
    kept = run.path / ".gitignore"
    kept.write_text("*")
    with run.locked():
        assert not torn.exists()
        with pytest.raises(RunError, match="another process is working on"), run.locked():
            pass
    assert kept.exists()
    with run.locked():
        pass


def test_an_unfinished_run_has_no_summary(run):
    with pytest.raises(RunError, match="is not finished; `fedrec resume"):
        run.summary()


def test_a_discarded_run_leaves_nothing(run):
    run.save_checkpoint(checkpoint(0))
    run.discard()
    assert not run.path.exists()


@pytest.mark.parametrize(
    "write",
    [
        lambda run: run.append_round({"round": 0, "loss": 1.0}),
        lambda run: run.rewind(None),
        lambda run: run.save_checkpoint(checkpoint(0)),
        lambda run: run.conclude({}, {}, {}, Ledger()),
    ],
)
def test_nothing_is_written_where_a_run_was_removed(run, write):
    shutil.rmtree(run.path)
    with pytest.raises(RunError, match="was removed or moved while it was worked on"):
        write(run)
    assert not run.path.exists()
    run.discard()


def test_free_runs_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = free_run("smoke", Experiment())
    assert str(first) == f"runs/smoke-{Experiment().fingerprint[:8]}"
    first.mkdir(parents=True)
    assert str(free_run("smoke", Experiment())) == f"{first}-2"


@pytest.mark.parametrize("file", ["experiment.toml", "fingerprint", "run.json", "checksums.json"])
def test_what_says_which_run_it_is_is_believed_only_as_it_was_written(run, file):
    data = (run.path / file).read_bytes()
    (run.path / file).write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    with pytest.raises(RunError, match=rf"{file}.* (is not what was written|cannot be read|is missing)"):
        RunDirectory(run.path)


def test_an_edited_experiment_is_no_other_run(run):
    file = run.path / "experiment.toml"
    file.write_text(file.read_text().replace("rounds = 3", "rounds = 4"))
    with pytest.raises(RunError, match=r"is not the experiment that this run was begun with"):
        assert Job(run.path).experiment


def test_a_flipped_bit_in_the_newest_checkpoint_goes_back_to_the_one_before_and_says_so(run):
    for number in range(2):
        run.save_checkpoint(checkpoint(number))
    newest = run.private / "checkpoints" / "round-000001.safetensors"
    data = bytearray(newest.read_bytes())
    data[-2] ^= 0x40  # a bit of the parameters
    newest.write_bytes(bytes(data))
    told = []
    assert run.latest_checkpoint(lambda *words: told.append(words[3])).round == 0
    assert "round-000001.safetensors is damaged" in told[0]


def test_edited_lines_are_not_gone_on_with(run):
    run.append_round({"round": 1, "loss": 2.0})
    here = saved(run, 1)
    file = run.private / "metrics.jsonl"
    for text in (file.read_text().replace("2.0", "1.0"), ""):
        file.write_text(text)
        with pytest.raises(RunError, match=r"metrics\.jsonl was edited or damaged"):
            run.rewind(here)
    file.write_text("no JSON\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl was edited or damaged"):
        run.rounds()


@pytest.mark.parametrize(
    "file", ["private/summary.json", "public/summary.json", "public/ledger.json", "public/adapter.safetensors"]
)
def test_an_edited_result_is_not_believed(run, file):
    run.append_round({"round": 1})
    run.conclude({"epsilon": 7.998}, {"epsilon": 7.998}, {"w": torch.ones(2)}, Ledger())
    assert run.summary() == {"epsilon": 7.998}
    path = run.path / file
    path.write_bytes(path.read_bytes().replace(b"7.998", b"0.044") + b" ")
    with pytest.raises(RunError, match=r"is not what was written"):
        run.summary()
