"""What trials may share: the preparation key covers all that preparation reads, and links stand in for copies."""

from pathlib import Path
from typing import Any

import pytest

from fedrec.core.progress import silent
from fedrec.experiment.config import Experiment
from fedrec.experiment.layers import flatten
from fedrec.experiment.section import Section
from fedrec.run.preparation import Prepared, is_prepared, prepare
from simulations.sweep.sharing import NOT_READ, link, preparation_key, prepare_once
from tests.tiny import tiny


class Watch:
    """Notes each key of an experiment that somebody reads, by section and name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: set[str] = set()
        parts = {name: getattr(Experiment(), name) for name in Experiment.model_fields}
        prefixes = {type(part): f"{name}." for name, part in parts.items() if isinstance(part, Section)}
        look_up = Section.__getattribute__

        def watched(section: Section, name: str) -> Any:
            kind = type(section)
            if name in kind.__pydantic_fields__:
                self.read.add(prefixes.get(kind, "") + name)
            return look_up(section, name)

        monkeypatch.setattr(Section, "__getattribute__", watched)


@pytest.mark.parametrize(
    "changes",
    [
        {
            "split": {"public": 0.2},
            "model": {"base": "public_users", "base_epochs": 2},
            "federation": {"partition": "users"},
        },
        {"model": {"softmax_items": 10}, "federation": {"partition": "dirichlet"}, "training": {"example": "prefix"}},
        {"federation": {"partition": "attribute"}, "adapter": {"name": "bias", "private": ()}},
    ],
)
def test_preparation_reads_nothing_that_the_key_leaves_out(
    changes: dict[str, Any], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # these change nothing that is prepared, and are asked of every trial of a sweep beforehand
    monkeypatch.setattr("fedrec.run.preparation.require_trainable", lambda experiment: None)
    monkeypatch.setattr("fedrec.tasks.base.require_served", lambda task: None)
    experiment = tiny(**changes)
    watch = Watch(monkeypatch)
    prepare(experiment, tmp_path, cache, silent)
    assert {"data.name", "split.test", "model.width", "text.layers", "seed", "split_seed"} <= watch.read, "it watches"
    assert not watch.read & NOT_READ, watch.read & NOT_READ


def test_every_key_that_is_left_out_exists_and_changes_no_key() -> None:
    keys = {".".join(path) for path, _ in flatten(Experiment().model_dump())}
    assert keys >= NOT_READ
    for changes in (
        {"rounds": 9},
        {"privacy": {"epsilon": 1.0, "clip_norm": 3.0}},
        {"adapter": {"rank": 2, "targets": ("query",)}},
        {"strategy": {"name": "fedadam", "options": {"server_lr": 0.1}}},
    ):
        assert preparation_key(tiny(**changes)) == preparation_key(tiny())
    for changes in (
        {"seed": 1},
        {"split_seed": 1},
        {"data": {"min_value": 4.0}},
        {"federation": {"clients": 5}},
        {"text": {"dimensions": 8}},
        {"model": {"base_epochs": 3}},
        {"adapter": {"item_delta": True}},
        {"training": {"example": "prefix"}},
    ):
        assert preparation_key(tiny(**changes)) != preparation_key(tiny()), changes


def test_it_is_prepared_once_and_linked_whole(tmp_path: Path, cache: Path) -> None:
    torn = tmp_path / "shared" / preparation_key(tiny())
    torn.mkdir(parents=True)
    (torn / "left over").touch()
    one = prepare_once(tiny(), tmp_path / "shared", cache, silent)
    ready = (one / "checksums.json").stat().st_mtime_ns
    assert not (one / "left over").exists()
    assert prepare_once(tiny(privacy={"epsilon": 1.0}), tmp_path / "shared", cache, silent) == one
    assert (one / "checksums.json").stat().st_mtime_ns == ready
    for _ in range(2):  # again, as after a kill
        link(one, tmp_path / "run")
    assert is_prepared(tmp_path / "run")
    assert len(Prepared(tmp_path / "run").federation) == 4
    files = [path.relative_to(one) for path in one.rglob("*") if path.is_file()]
    assert all((tmp_path / "run" / file).samefile(one / file) for file in files)


def test_where_there_are_no_links_there_are_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    (tmp_path / "one" / "train").mkdir(parents=True)
    (tmp_path / "one" / "checksums.json").write_text("{}")
    (tmp_path / "one" / "train" / "item.npy").write_bytes(b"rows")
    monkeypatch.setattr("os.link", refuse)
    for _ in range(2):
        link(tmp_path / "one", tmp_path / "run")
    assert (tmp_path / "run" / "train" / "item.npy").read_bytes() == b"rows"
