"""The report, from hand-made run folders."""

import json
import os
from html.parser import HTMLParser

import pytest

from fedrec.core.checksums import seal
from fedrec.core.errors import RunError
from fedrec.reporting.reading import reading
from fedrec.reporting.run.figures import controls_chart, curves, group_charts
from fedrec.reporting.run.report import pairs, render_report
from fedrec.reporting.run.tables import control_rows
from fedrec.run.environment import PACKAGES, environment
from tests.handmade import NEXT_ITEM

ATTACK = "<script>alert(1)</script><img src='http://evil.example/x'>"


def case(value):
    return {"last20": {"ndcg@10": value}, "last": {"ndcg@10": value / 4}}


def bounds(value):
    return {
        "last20": {"ndcg@10": [value - 0.01, value + 0.01]},
        "last": {"ndcg@10": [value / 4 - 0.01, value / 4 + 0.01]},
    }


SUMMARY = {
    "fedrec": "0.1.0",
    "name": "movielens",
    "fingerprint": "ab" * 32,
    "parameters_sha256": "cd" * 32,
    "task": NEXT_ITEM,
    "dataset": {"name": "movielens-100k", "users": 943, "cleaning": {"repeated pairs": 3}, "terms": "research"},
    "split": {"private": 660, "public": 0, "validation": 94, "test": 189, "excluded": {"without target": 2}},
    "federation": {"clients": 20, "users_per_client": [31, 33, 35], "partition": "shards"},
    "model": {"name": "text_transformer", "parameters": 100_000, "base": "random"},
    "adapter": {"name": "lora", "parameters": 1000, "bytes": 4000, "private_parameters": 0},
    "rounds": 2,
    "metrics": {"validation": case(0.14), "test": case(0.15)},
    "intervals": bounds(0.15),
    "groups": {
        "last20": {
            "groups": {
                "gender": {
                    "sizes": {"F": 52, "M": 4},
                    "unknown": 1,
                    "means": {"ndcg@10": {"F": 0.13, "M": 0.16}},
                    "gaps": {"ndcg@10": 0.03},
                }
            },
            "missing": ["zodiac"],
            "worst_decile": {"ndcg@10": 0.012},
        }
    },
    "controls": {
        "base": {
            "test": case(0.01),
            "intervals": bounds(0.01),
            "p_value": {"last20": 0.0001, "last": 0.02},
            "note": "",
        },
        "ease": {
            "test": case(0.2),
            "intervals": bounds(0.2),
            "p_value": {"last20": 0.004, "last": 1},
            "note": "l2 300",
        },
    },
    "privacy": {
        "statement": "User-level, they say.",
        "epsilon": 8.0,
        "delta": 0.0008,
        "unit": "user",
        "trust": "local",
    },
    "communication": {
        "upload_bytes_per_client_round": 4000,
        "download_bytes_per_client_round": 4100,
        "upload_bytes_total": 160_000,
    },
    "faults": {"rejected": {"not finite": 1}, "missing": 0, "failed_clients": []},
    "timing": {"total": 61.5},
    "warnings": ["one reply was rejected"],
    "environment": {"python": "3.11", "OMP_NUM_THREADS": "2"},
}
LINES = [
    {"round": 0, "loss": 7.4, "validation": case(0.01), "epsilon": 0, "cohort": 0, "replies": 0, "rejected": {}},
    {"round": 1, "loss": 7.0, "epsilon": 4.0, "cohort": 20, "replies": 19, "rejected": {"not finite": 1}},
    {"round": 2, "loss": 6.5, "validation": case(0.14), "epsilon": 8.0, "cohort": 20, "replies": 20, "rejected": {}},
]


class Page(HTMLParser):
    """What a browser would see: the text, each tag with its attributes, and the charts."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.charts, self._inside = [], [], [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = dict(attrs).get("type", tag) if tag in {"script", "style"} else None

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "application/json":
            self.charts.append(json.loads(data))
        elif self._inside is None:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def render(folder, summary, lines=LINES):
    (folder / "experiment.toml").write_text('seed = 0\nname = "<&>"\n')
    for part in ("private", "public"):
        (folder / part).mkdir(exist_ok=True)
        (folder / part / "summary.json").write_text(json.dumps(summary))
        (folder / part / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        seal(folder / part, ["metrics.jsonl", "summary.json"])
    seal(folder, ["experiment.toml"])
    return Page(render_report(folder).read_text(encoding="utf-8"))


def without(*keys):
    return {key: value for key, value in SUMMARY.items() if key not in keys}


def test_clients_own_later_items_have_a_table_of_their_own(tmp_path):
    def told(value, p_value):
        entry = {"metrics": {"ndcg@10": value, "users": 640.0}, "intervals": {"ndcg@10": [value - 0.01, value + 0.01]}}
        return {**entry, "p_value": p_value}

    found = {"personal": told(0.321, None), "shared": told(0.123, 0.0004), "popularity": told(0.111, 1.0)}
    later = {"clients": 600, "of_clients": 660, "against": "personal", "recommenders": found}
    (tmp_path / "with").mkdir()
    text = render(tmp_path / "with", SUMMARY | {"later_items": later}).text
    assert "640 users of 600 clients, drawn from 660" in text
    assert "With what each client keeps 0.321 [0.311, 0.331]" in text
    assert "With the shared part alone 0.123 [0.113, 0.133] < 0.001" in text
    (tmp_path / "without").mkdir()
    assert "own later items" not in render(tmp_path / "without", SUMMARY).text


def test_the_report_tells_the_run_in_order(tmp_path):
    text = render(tmp_path, SUMMARY).text
    told = [
        "20 clients, with 660 users between them",
        "EASE still wins on the last 20 %",
        "one reply was rejected",
        "User-level, they say.",
        "Federated, this run",
        "Base before federation",
        "[0.190, 0.210]",
        "Epsilon spent",
        "By gender",
        "4.1 kB",
        "400.0 kB",
        "split: excluded: without target",
        "Seen only because this is a simulation",
        "cleaning: repeated pairs",
        "160.0 kB",
        "rejected: not finite",
        'seed = 0 name = "<&>"',
        "OMP_NUM_THREADS",
        "fedrec run experiment.toml --out again",
        "ab" * 32,
        "cd" * 32,
    ]
    places = [text.index(words) for words in told]
    assert places == sorted(places)
    assert "Asked for, but not in the data: zodiac" in text


def test_the_public_page_has_nothing_that_only_a_simulation_sees(tmp_path):
    render(tmp_path, SUMMARY)
    text = Page((tmp_path / "public" / "report.html").read_text(encoding="utf-8")).text
    for words in (
        "only because this is a simulation",
        "160.0 kB",
        "Time taken",
        "repeated pairs",
        "Cohort",
        "Rejected",
    ):
        assert words not in text, words


def test_the_statement_is_told_part_by_part_where_there_are_parts(tmp_path):
    privacy = {**SUMMARY["privacy"], "parts": {"Promise": "Little is <learnt>.", "Trust": "Nobody."}}
    page = render(tmp_path, {**SUMMARY, "privacy": privacy})
    assert "Promise Little is <learnt>. Trust Nobody." in page.text
    assert "User-level, they say." not in page.text


def test_the_best_is_bold_and_the_federated_row_marked(tmp_path):
    render(tmp_path, SUMMARY)
    html = (tmp_path / "private" / "report.html").read_text()
    assert '<span class="best">0.200</span>' in html
    assert '<span class="best">0.150</span>' not in html
    assert html.count('<tr class="federated">') == 1


def test_the_page_is_one_file_that_loads_nothing(tmp_path):
    page = render(tmp_path, SUMMARY)
    assert not [tag for tag, _ in page.tags if tag in {"link", "img", "iframe", "object", "embed", "base", "source"}]
    assert not [name for _, attributes in page.tags for name in attributes if name in {"src", "href", "srcset", "data"}]
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    html = (tmp_path / "private" / "report.html").read_text()
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert html.count("* plotly.js v") == 1
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".report")] == []


def test_everything_from_data_is_escaped(tmp_path):
    def poisoned(value):
        if isinstance(value, dict):
            return {key: poisoned(entry) for key, entry in value.items()}
        return value + ATTACK if isinstance(value, str) else [ATTACK] if value == [] else value

    summary = poisoned(SUMMARY)
    summary["task"]["headline"] = SUMMARY["task"]["headline"]  # keys, as those of the scores are
    summary["controls"][ATTACK] = SUMMARY["controls"]["ease"]
    summary["groups"]["last20"]["groups"][ATTACK] = {
        "sizes": {ATTACK: 9},
        "means": {"ndcg@10": {ATTACK: 0.1}},
        "gaps": {},
    }
    summary["warnings"] = [ATTACK]
    summary["dataset"]["cleaning"] = {ATTACK: 1}
    clean, page = render(tmp_path, SUMMARY), render(tmp_path, summary)
    assert len([tag for tag, _ in page.tags if tag == "script"]) - len(page.charts) == 2
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert len(page.charts) == len(clean.charts) + 1
    assert ATTACK in page.text
    drawn = json.dumps(page.charts)
    assert "&lt;script&gt;" in drawn
    assert "<script>" not in drawn


def test_no_controls(tmp_path):
    text = render(tmp_path, without("controls")).text
    assert "No control was run" in text
    assert "what training added is not known" in text


@pytest.mark.parametrize("lines", [[], [{"round": 1, "loss": None, "epsilon": "inf", "rejected": None}]])
def test_no_evaluated_round(tmp_path, lines):
    assert "No round was evaluated." in render(tmp_path, SUMMARY, lines).text


def test_privacy_off(tmp_path):
    privacy = {"statement": "Nothing is protected: trained without.", "epsilon": "inf", "delta": 0.0, "unit": "none"}
    lines = [line | {"epsilon": None} for line in LINES]
    page = render(tmp_path, SUMMARY | {"privacy": privacy}, lines)
    assert "Privacy is off: nothing is protected." in page.text
    assert "Nothing is protected: trained without." in page.text
    assert "Epsilon spent" not in page.text


@pytest.mark.parametrize("nothing", [float("nan"), "nan", None])
def test_nan_is_a_dash_and_never_best(tmp_path, nothing):
    metrics = {"test": {"last20": {"ndcg@10": nothing}, "last": {"ndcg@10": nothing}}}
    groups = {"last20": {"groups": {}, "missing": [], "worst_decile": {"ndcg@10": nothing}}}
    page = render(tmp_path, SUMMARY | {"metrics": metrics, "intervals": {}, "groups": groups})
    assert "nothing can be said of its quality" in page.text
    assert "No groups were compared." in page.text
    assert "nan" not in page.text.lower().replace("unknown", "").split()


def test_a_summary_of_nothing_still_renders(tmp_path):
    text = render(tmp_path, {}, []).text
    assert "recorded no privacy statement" in text
    assert "not recorded" in text


def test_an_unfinished_run_is_refused(tmp_path):
    (tmp_path / "experiment.toml").write_text("")
    seal(tmp_path, ["experiment.toml"])
    with pytest.raises(RunError, match="fedrec resume"):
        render_report(tmp_path)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="no run directory"):
        render_report(tmp_path)


@pytest.mark.parametrize("name", ["summary.json", "metrics.jsonl"])
def test_a_damaged_file_is_named_and_the_old_report_stays(tmp_path, name):
    render(tmp_path, SUMMARY)
    before = (tmp_path / "private" / "report.html").read_bytes()
    (tmp_path / "public" / name).write_text("{broken\n")
    with pytest.raises(RunError, match=rf"{name} is not what was written"):
        render_report(tmp_path)
    assert (tmp_path / "private" / "report.html").read_bytes() == before


def test_curves_hold_the_rounds_that_have_a_value():
    loss, ndcg, epsilon = curves(LINES, reading(SUMMARY))
    assert loss.spec["data"][0]["x"] == [0, 1, 2]
    assert loss.spec["data"][0]["y"] == [7.4, 7.0, 6.5]
    assert [(trace["name"], trace["x"]) for trace in ndcg.spec["data"]] == [
        ("the last 20 %", [0, 2]),
        ("the last item", [0, 2]),
    ]
    assert epsilon.spec["data"][0]["y"] == [0, 4.0, 8.0]


def test_groups_show_their_size_and_small_ones_are_grey():
    (chart,) = group_charts(SUMMARY["groups"]["last20"], "ndcg@10")
    (bars,) = chart.spec["data"]
    assert bars["y"] == ["F (n 52)", "M (n 4)"]
    assert bars["x"] == [0.13, 0.16]
    assert len(set(bars["marker"]["color"])) == 2


def test_activity_is_drawn_from_low_to_high():
    activity = {"sizes": {"high": 9, "low": 9, "mid": 9}, "means": {"ndcg@10": {"high": 0.3, "low": 0.1, "mid": 0.2}}}
    (chart,) = group_charts({"groups": {"activity": activity}}, "ndcg@10")
    assert chart.spec["data"][0]["x"] == [0.1, 0.2, 0.3]


def test_controls_without_a_number_have_no_chart():
    assert controls_chart(control_rows({}), reading({})) is None


def test_pairs_flatten_nested_json():
    assert pairs({"a_b": {"c": 1, "d": {}}, "e": [1, None], "f": True, "g": 1234.5, "h": [], "i": float("nan")}) == [
        ("a b: c", "1"),
        ("a b: d", "none"),
        ("e", "1, —"),
        ("f", "yes"),
        ("g", "1,234.5"),
        ("h", "none"),
        ("i", "—"),
    ]


def test_the_environment_names_versions_threads_and_nobody(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("MKL_CBWR", raising=False)
    found = environment()
    assert set(PACKAGES) < set(found)
    assert all(isinstance(value, str) and value for value in found.values())
    assert (found["OMP_NUM_THREADS"], found["MKL_CBWR"]) == ("2", "not set")
    assert os.uname().nodename not in found.values()


def test_an_absent_package_is_said_to_be_absent(monkeypatch):
    monkeypatch.setattr("fedrec.run.environment.PACKAGES", ("no-such-distribution",))
    assert environment()["no-such-distribution"] == "not installed"


def test_what_filters_have_spent_is_on_the_simulators_page_alone(tmp_path):
    filters = {"active_after_rounds": [561, 17], "clients_by_tenth_spent": [0] * 9 + [561]}
    page = render(tmp_path, {**SUMMARY, "filter": filters})
    assert "filters: active after rounds 561, 17" in page.text
    assert "filters:" not in Page((tmp_path / "public" / "report.html").read_text(encoding="utf-8")).text


def test_private_validation_users_are_shown_with_their_noise_and_test_users_not_at_all(tmp_path):
    validation = {"users": 94, "epsilon": 2.0, "delta": 1e-4, "deviation": {"loss": 0.3, "ndcg@10": 0.05}}
    told = SUMMARY | {"metrics": {"validation": case(0.14)}, "privacy": SUMMARY["privacy"] | {"validation": validation}}
    text = render(tmp_path, {key: value for key, value in told.items() if key not in {"controls", "groups"}}).text
    for words in (
        "How well it ranks for them is not published, because they are no volunteers.",
        "For 94 private validation users NDCG@10 is 0.140 on the last 20 % and 0.035 on the last item",
        "noise of standard deviation 0.050",
        "Validation users are promised epsilon 2.000 at delta 0.0001",
        "Its standard deviation is 0.3 (Loss) and 0.05 (NDCG@10)",
    ):
        assert words in text
    assert "No control was run" not in text
    assert "no volunteers" not in render(tmp_path, SUMMARY).text
