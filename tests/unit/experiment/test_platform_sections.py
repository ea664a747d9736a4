"""Several platforms in one experiment: `[platforms.NAME]`, each a data section, beside the short form `[data]`."""

from pathlib import Path

import pytest

from fedrec.core.errors import ConfigError
from fedrec.core.registry import Registry
from fedrec.experiment.config import DataConfig, Experiment
from fedrec.experiment.file import differing_keys, dump_experiment, load_experiment

TWO = '[platforms.video]\nname = "films"\n[platforms.grocery]\nname = "baskets"\nmin_value = 1.0\n'


def mistakes(folder: Path, text: str, *settings: str) -> list[str]:
    (folder / "mine.toml").write_text(text)
    datasets: Registry[int] = Registry("data set")
    for name in ("films", "baskets", "movielens-100k", "table"):
        datasets.register(name)(1)
    with pytest.raises(ConfigError) as caught:
        load_experiment(folder / "mine.toml", settings, registries={"platforms.*.name": datasets})
    return [line.strip() for line in str(caught.value).splitlines()]


def test_the_short_form_is_one_platform() -> None:
    assert Experiment(data=DataConfig(name="films")).data_sections == {"data": DataConfig(name="films")}


def test_platforms_are_ordered_by_name_however_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TWO)
    found = load_experiment(
        tmp_path / "mine.toml", ["platforms.video.min_interactions=5", "platforms.audio.name=songs"]
    )
    assert list(found.data_sections) == ["platforms.audio", "platforms.grocery", "platforms.video"]
    assert found.data_sections["platforms.video"] == DataConfig(name="films", min_interactions=5)
    other = Experiment(platforms=dict(reversed(found.platforms.items())))
    assert list(other.data_sections) == list(found.data_sections)
    assert other.fingerprint == found.fingerprint, "it knows no order either"


def test_a_dump_of_platforms_has_no_data_section(tmp_path: Path) -> None:
    experiment = Experiment(platforms={"video": DataConfig(name="films")})
    text = dump_experiment(experiment)
    assert "[data" not in text
    assert "platforms" not in dump_experiment(Experiment())
    (tmp_path / "again.toml").write_text(text)
    assert load_experiment(tmp_path / "again.toml", []) == experiment


def test_a_platform_more_is_a_difference() -> None:
    one, two = ({name: DataConfig(name="films") for name in names} for names in (("a",), ("a", "b")))
    found = differing_keys(Experiment(platforms=one), Experiment(platforms=two))
    assert "platforms.b.name: not set, now 'films'" in found


def test_paths_count_from_the_folder_of_their_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[platforms.shop]\nname = "table"\npath = "log.csv"\n')
    setting = "platforms.shop.table.items_path=items.csv"
    found = load_experiment(tmp_path / "mine.toml", [setting]).platforms["shop"]
    assert found.path == tmp_path / "log.csv"
    assert found.table.items_path == Path.cwd() / "items.csv"


def test_both_forms_at_once_are_refused_where_the_short_one_stands(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, TWO, "data.min_value=4")
    assert found.startswith("--set: [data] is the short form for a single platform")
    assert "[platforms.grocery], [platforms.video]" in found
    (tmp_path / "mine.toml").write_text(TWO + "[data]\n")
    assert load_experiment(tmp_path / "mine.toml", []).platforms, "an empty section says nothing"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[platforms."Video 1"]\nname = "films"\n', "a platform's name has a-z, 0-9 and - alone"),
        ('[platforms]\nname = "films"\n', 'platforms.name = "films": is a section; its keys are name, path'),
        ('[platforms.video]\nnmae = "films"\n', "platforms.video.nmae is not a key; did you mean 'name'?"),
        ("[platforms.video]\nnmae = 1\n", "(keys of [platforms.video]: name, path"),
        ("[platforms.video]\nmin_interactions = 0\n", "platforms.video.min_interactions = 0: should be"),
        ('[platforms.video]\nname = "film"\n', "platforms.video.name: unknown data set 'film'; did you mean 'films'?"),
        ('[platforms.shop]\nname = "table"\n', "platforms.shop.name = 'table': needs platforms.shop.path"),
        (
            '[platforms.shop]\nname = "table"\npath = "a.csv"\ntable.items_key = "sku"\n',
            "platforms.shop.table.items_key = 'sku': needs platforms.shop.table.items_path",
        ),
        ('[platform.video]\nname = "films"\n', "platform is not a key; did you mean 'platforms'?"),
    ],
)
def test_mistakes_name_the_platforms_own_key_and_its_line(tmp_path: Path, text: str, expected: str) -> None:
    (found,) = mistakes(tmp_path, text)
    assert expected in found
    assert found.startswith(f"{tmp_path / 'mine.toml'}:")
