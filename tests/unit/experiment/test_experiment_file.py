"""Experiments from files and settings: layers, and every mistake at once with its place."""

import math
from pathlib import Path

import pytest

from fedrec.core.errors import ConfigError
from fedrec.core.registry import Registry
from fedrec.experiment.config import Experiment, StrategyConfig
from fedrec.experiment.file import check_names, differing_keys, dump_experiment, load_experiment
from fedrec.experiment.privacy import PrivacyConfig


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "movielens.toml").write_text(
        "# The main job.\nrounds = 40\n\n[privacy]\nepsilon = 8\ndelta = 1e-5\n\n[strategy.options]\nserver_lr = 0.5\n"
    )
    return folder


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def mistakes(*arguments: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_experiment(*arguments)  # type: ignore[arg-type]
    return [line.strip() for line in str(caught.value).splitlines()]


def strategies() -> dict[str, Registry[int]]:
    registry: Registry[int] = Registry("strategy")
    registry.register("fedavg")(1)
    return {"strategy.name": registry}


# layers


def test_nothing_written_is_the_default_experiment() -> None:
    assert load_experiment(None, []) == Experiment()


def test_a_scenario_is_found_by_name(scenarios: Path) -> None:
    found = load_experiment("movielens", [], scenarios)
    assert (found.rounds, found.privacy.epsilon) == (40, 8.0)


def test_settings_lie_over_the_file_and_the_last_one_wins(scenarios: Path) -> None:
    settings = ["privacy.epsilon=inf", "rounds=3", "rounds=4", "strategy.options.beta=0.9", 'adapter.targets=["query"]']
    found = load_experiment("movielens", settings, scenarios)
    assert found.privacy == PrivacyConfig(epsilon=math.inf, delta=1e-5)
    assert found.rounds == 4
    assert found.strategy.options == {"server_lr": 0.5, "beta": 0.9}
    assert found.adapter.targets == ("query",)


def test_a_value_that_is_no_toml_is_a_bare_string() -> None:
    assert load_experiment(None, ["text.encoder=intfloat/e5-small"]).text.encoder == "intfloat/e5-small"


def test_a_setting_cannot_smuggle_in_a_second_key() -> None:
    assert load_experiment(None, ["data.name=a\nrounds = 3"]).rounds == Experiment().rounds


def test_a_table_in_a_setting_takes_the_place_of_the_whole_table(scenarios: Path) -> None:
    assert load_experiment("movielens", ["strategy.options={}"], scenarios).strategy.options == {}


def test_a_file_extends_a_scenario_and_a_file_beside_it(scenarios: Path, tmp_path: Path) -> None:
    written(tmp_path, 'extends = "movielens"\n[privacy]\nepsilon = 4\n', "base.toml")
    mine = written(tmp_path, 'extends = "base.toml"\nseed = 7\n[privacy]\n')
    found = load_experiment(mine, [], scenarios)
    assert (found.seed, found.rounds, found.privacy.epsilon, found.privacy.delta) == (7, 40, 4.0, 1e-5)


def test_relative_paths_count_from_their_file_and_from_here_for_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    mine = written(tmp_path, 'data.path = "sales.csv"\n')
    monkeypatch.chdir(tmp_path / "here")
    found = load_experiment(mine, ["data.table.items_path=../items.csv"]).data
    assert found.path == tmp_path / "sales.csv"
    assert found.table.items_path == tmp_path / "items.csv"


# mistakes


def test_all_mistakes_come_at_once_each_with_its_place(tmp_path: Path) -> None:
    mine = written(
        tmp_path,
        'round = 3\nseed = "5"\n[privacy]\nepsilo = 4\nunit = "usr"\nrank = 3\n[federation]\nparticipation = 3\n'
        '[model]\nwidth = 65\n[strategy]\nname = "fedavgg"\noptions = { a = [1] }\n[privcy]\n',
    )
    found = mistakes(mine, ["epsilon=4", "adapter.targets=query", "foo", "training.lr=true"], None, strategies())
    assert found[0] == "14 mistakes in the experiment:"
    for expected in (
        f"{mine}:1: round is not a key; did you mean 'rounds'? (keys of the top level: seed, ",
        f'{mine}:2: seed = "5": should be a valid integer',
        f"{mine}:4: privacy.epsilo is not a key; did you mean 'epsilon'? (keys of [privacy]: epsilon, delta, ",
        f"{mine}:5: privacy.unit = \"usr\": should be 'user', 'example' or 'platform'; did you mean 'user'?",
        f"{mine}:6: privacy.rank is not a key; it exists as adapter.rank (",
        f"{mine}:8: federation.participation = 3: should be less than or equal to 1",
        f"{mine}:10: model.width = 65: should be a multiple of model.heads = 2",
        f"{mine}:12: strategy.name: unknown strategy 'fedavgg'; did you mean 'fedavg'?",
        f"{mine}:13: strategy.options.a = [1]: should be a valid number or a valid integer or a valid string or ",
        f"{mine}:14: privcy is not a key; did you mean 'privacy'? (",
        "--set: epsilon is not a key; it exists as privacy.epsilon and evaluation.private.epsilon (",
        '--set: adapter.targets = "query": should be a valid array, such as ["query"]',
        "--set foo: write path=value, such as privacy.epsilon=8",
        "--set: training.lr = true: should be a valid number",
    ):
        assert any(line.startswith(expected) for line in found), expected


def test_a_single_mistake_is_a_single_line() -> None:
    assert mistakes(None, ["rounds=0"]) == ["--set: rounds = 0: should be greater than or equal to 1"]


def test_a_section_is_no_value_and_a_value_no_section() -> None:
    found = mistakes(None, ["privacy=8", "model.width.x=3"])
    assert any("privacy = 8: is a section; its keys are epsilon, delta" in line for line in found)
    assert any('model.width = {"x": 3}: should be a valid integer' in line for line in found)


def test_not_a_number_is_out_of_every_range() -> None:
    assert mistakes(None, ["privacy.epsilon=nan"]) == ["--set: privacy.epsilon = NaN: should be greater than 0"]


def test_nobody_to_train_on_and_a_table_without_path_are_refused() -> None:
    found = mistakes(None, ["split.test=0.6", "split.validation=0.4", "data.name=table"])
    assert any("split.test = 0.6: with split.validation = 0.4 nobody is left" in line for line in found)
    assert any("data.name = 'table': needs data.path" in line for line in found)


def test_what_is_said_of_a_column_or_file_that_is_not_named_is_refused() -> None:
    found = mistakes(
        None, ["data.table.time_format=%d/%m/%Y", "data.table.items_key=sku", "data.table.users_key=member"]
    )
    assert found == [
        "--set: data.table.time_format = '%d/%m/%Y': needs data.table.time, too; "
        "data.table.items_key = 'sku': needs data.table.items_path, too; "
        "data.table.users_key = 'member': needs data.table.users_path, too"
    ]


def test_an_evaluation_without_cut_offs_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.cutoffs = \[\]: should name at least one cut-off"):
        load_experiment(None, ["evaluation.cutoffs=[]"])


def test_balls_need_a_whole_number_of_bins() -> None:
    found = mistakes(None, ["federation.sampling=balls-in-bins", "federation.participation=0.3"])
    assert found[1:] == []
    assert "federation.participation = 0.3: should be 1 over a whole number of rounds" in found[0]
    assert "such as 0.333" in found[0]
    for share in ("0.333", "0.05", "1"):
        load_experiment(None, ["federation.sampling=balls-in-bins", f"federation.participation={share}"])


def test_a_rule_is_silent_about_a_key_that_is_wrong_anyway() -> None:
    assert mistakes(None, ["model.width=wide", "model.heads=3"]) == [
        '--set: model.width = "wide": should be a valid integer'
    ]


def test_a_syntax_error_has_line_and_column_and_settings_are_still_judged(tmp_path: Path) -> None:
    mine = written(tmp_path, "rounds = 3\nseed = \n")
    found = mistakes(mine, ["privacy.epsilo=3", "model.heads=3"])
    assert found[0] == "2 mistakes in the experiment:"
    assert found[1].startswith(f"{mine}: not valid TOML: ")
    assert found[1].endswith("(at line 2, column 8)")
    assert found[2].startswith("--set: privacy.epsilo is not a key")


def test_an_unknown_scenario_is_answered_with_the_nearest(scenarios: Path) -> None:
    assert mistakes("movielns", [], scenarios) == [
        "'movielns' is neither a scenario nor a TOML file; did you mean 'movielens'? (scenarios: movielens)"
    ]


def test_a_file_cannot_extend_itself(tmp_path: Path) -> None:
    written(tmp_path, 'extends = "b.toml"', "a.toml")
    written(tmp_path, 'extends = "a.toml"', "b.toml")
    (found,) = mistakes(tmp_path / "a.toml", [])
    assert found.endswith("extends itself: a.toml -> b.toml -> a.toml")


@pytest.mark.parametrize("base", ["3", '["a"]'])
def test_extends_names_one_file(tmp_path: Path, base: str) -> None:
    (found,) = mistakes(written(tmp_path, f"extends = {base}"), [])
    assert "should be the name of a scenario or file" in found


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe\x00")
    (found,) = mistakes(tmp_path / "mine.toml", [])
    assert "not UTF-8 text" in found


def test_mistakes_in_a_list_of_tables_name_the_entry_and_its_key(tmp_path: Path) -> None:
    registry: Registry[int] = Registry("transform")
    registry.register("int8")(1)
    mine = written(
        tmp_path,
        '[strategy]\nname = "fedavg"\n[[transforms]]\nname = "int8"\nbits = 4\n[[transforms]]\noptions = { a = [1] }\n',
    )
    found = mistakes(mine, ["strategy.name=fedavgg"], None, {**strategies(), "transforms.name": registry})
    for line, expected in zip(
        found[1:],
        (
            f"{mine}:3: transforms.0.bits is not a key",
            f'{mine}:3: transforms.1 = {{"options": {{"a": [1]}}}}: has no name',
            f"{mine}:3: transforms.1.options.a = [1]: should be a valid number",
            "--set: strategy.name: unknown strategy 'fedavgg'; did you mean 'fedavg'?",
        ),
        strict=True,
    ):
        assert line.startswith(expected)
    (found,) = mistakes(None, ['transforms=["int8"]'])
    assert found == '--set: transforms.0 = "int8": is a section; its keys are name, options'
    (found,) = mistakes(None, ['transforms=[{name="int9"}]'], None, {"transforms.name": registry})
    assert found == "--set: transforms.name: unknown transform 'int9'; did you mean 'int8'? Known: int8"


def test_a_list_of_tables_is_written_and_read_back(tmp_path: Path) -> None:
    mine = written(tmp_path, '[[transforms]]\nname = "./a.py:A"\n[[transforms]]\nname = "int8"\noptions.x = 2\n')
    found = load_experiment(mine, [])
    assert [(entry.name, entry.options) for entry in found.transforms] == [
        (f"{tmp_path}/a.py:A", {}),
        ("int8", {"x": 2}),
    ]
    again = written(tmp_path, dump_experiment(found), "again.toml")
    assert load_experiment(again, []).fingerprint == found.fingerprint


# names, writing back, differences


def test_check_names_lists_every_unknown_name() -> None:
    controls: Registry[int] = Registry("control")
    controls.register("random")(1)
    check_names(Experiment(), strategies())
    asked = Experiment.model_validate({"evaluation": {"controls": ["random", *"abcde"]}})
    with pytest.raises(ConfigError, match="5 mistakes"):
        check_names(asked, {"evaluation.controls": controls})


def test_a_dump_holds_every_key_but_those_without_a_value() -> None:
    text = dump_experiment(Experiment())
    assert "epsilon = inf" in text
    assert "noise_multiplier" not in text


def test_differing_keys_have_both_values() -> None:
    other = Experiment(rounds=3, privacy=PrivacyConfig(delta=0.1), strategy=StrategyConfig(options={"mu": 1}))
    assert differing_keys(Experiment(), other) == [
        "privacy.delta: not set, now 0.1",
        "rounds: 30, now 3",
        "strategy.options.mu: not set, now 1",
    ]
    assert differing_keys(other, other) == []
