"""Search: what queries are made of, that a recommender is told words alone, and its metrics by hand and by ranx."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from fedrec.core.errors import ConfigError, RunError
from fedrec.core.progress import silent
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import Catalogue
from fedrec.data.split import Cases, Queries
from fedrec.evaluation.controls.text_match import text_match_scorer
from fedrec.metrics.evaluation import Judged
from fedrec.models.recommender import build_model
from fedrec.run.recommender import open_recommender
from fedrec.run.trainable import require_trainable
from fedrec.tasks import open_task
from fedrec.tasks.search_queries import EACH, query_texts
from simulations.options import RunOptions
from simulations.runner import run
from simulations.testing.world import tiny_experiment, world
from tests.handmade import NUM_ITEMS, batch, experiment, inputs, interactions

FILMS = Catalogue(
    ids=["1", "2", "3", "4"],
    texts=["", "", "", ""],
    titles=["The Empire Strikes Back (1980)", "Heat (1995)", "Toy Story (1995)", "Solaris"],
    attributes={"year": ["1980", "1995", "1995", ""], "genres": ["Action|Sci-Fi", "Action|Crime", "", ""]},
)
WANTED = experiment(task={"name": "search"})


def words(text: str) -> set[str]:
    return set(re.findall(r"[\w']+", text.lower()))


def each(source: str) -> list[list[str]]:
    texts = query_texts(FILMS, source)
    return [texts[start : start + EACH] for start in range(0, len(texts), EACH)]


def test_a_query_has_half_of_a_titles_words_in_their_order_and_one_attribute():
    title = ["the", "empire", "strikes", "back"]
    for query in each("both")[0]:
        found = [word for word in query.split() if word in title]
        assert len(found) == 2
        assert found == sorted(found, key=title.index)
        assert query.removeprefix(" ".join(found)).strip() in {"1980", "action", "sci-fi"}


@pytest.mark.parametrize("source", ["both", "title", "attributes"])
def test_no_query_has_all_words_of_a_title_that_no_attribute_has(source):
    for title, queries in zip(FILMS.titles, each(source), strict=True):
        own = words(title) - {"1980", "1995"}
        assert all(not own <= words(query) for query in queries)


def test_a_title_of_one_word_is_searched_for_by_two_attributes_and_what_has_neither_by_nothing():
    heat, solaris = each("both")[1], each("both")[3]
    kinds = [{"1995", "action"}, {"1995", "crime"}, {"action", "crime"}]
    assert all(set(query.split()) in kinds for query in heat if query)
    assert solaris == [""] * EACH
    assert each("title")[1] == [""] * EACH


@pytest.mark.parametrize("source", ["both", "title", "attributes"])
def test_no_training_query_is_the_one_that_recommenders_are_judged_with(source):
    for *trained, judged in each(source):
        assert not judged or judged not in trained
    assert each("title")[2][-1] in {"toy", "story"}  # of two queries one is judged, so the other trains
    assert len(set(each("title")[2])) == 2


def test_queries_are_those_of_the_item_whatever_stands_beside_it():
    alone = Catalogue(["3"], [""], ["Toy Story (1995)"], {"year": ["1995"], "genres": [""]})
    assert query_texts(alone, "both") == each("both")[2]


def test_a_catalogue_without_words_and_an_unknown_source_are_refused():
    with pytest.raises(ConfigError, match="no item has two words in its title"):
        open_task(WANTED).query_texts(Catalogue(["1"], ["one"], ["one"]))
    with pytest.raises(ConfigError, match=r"task.options.source = 'tags': should be one of both, title, attributes"):
        open_task(experiment(task={"name": "search", "options": {"source": "tags"}}))


def test_each_position_asks_for_the_item_after_it():
    task, rows = open_task(WANTED), interactions([[0, 1, 2], [6, 5]])
    judged = task.collate(task.judged(rows, np.arange(2)))
    assert judged["asked"].tolist() == [[1 * EACH + 3, 2 * EACH + 3], [5 * EACH + 3, 0]]
    drawn = task.collate(task.draw(task.examples(rows, np.arange(2)), np.arange(2), rng_for(0, "draw")))
    assert (drawn["asked"] // EACH).tolist() == [[1, 2], [5, 0]]
    assert (drawn["asked"] % EACH < 3).all(), "training never draws the judged ones"


def searched(rows: torch.Tensor):
    made = inputs()
    model = build_model(WANTED, replace(made, query_vectors=rows)).double()
    return model, made.item_vectors


def test_a_search_begins_as_the_similarity_of_texts_beside_what_the_history_says():
    asked = torch.randn(1, 2, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    model, vectors = searched(torch.zeros(1, 5, dtype=torch.float64))
    plain = batch(torch.tensor([[0, 1]]))
    expected = model(plain) + asked @ vectors.T / 0.07
    found = model({**plain, "query": asked})
    torch.testing.assert_close(found, expected)
    some = torch.tensor([[4, 2]])
    torch.testing.assert_close(model({**plain, "query": asked}, some, torch.tensor([6])), expected[..., [4, 2, 6]])
    whole = {**plain, "length": torch.tensor([2]), "query": asked[:, 1]}
    torch.testing.assert_close(model.score(whole), expected[:, 1])


def test_the_loss_is_that_of_the_next_item_given_the_query():
    asked = torch.randn(NUM_ITEMS * EACH, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    model, _ = searched(asked)
    task = open_task(WANTED)
    one = task.collate(task.judged(interactions([[0, 1, 2]]), np.arange(1)))
    scores = model({**one, "query": asked[[7, 11]][None]})  # the judged queries of items 1 and 2
    expected = -scores.log_softmax(-1)[0, [0, 1], [1, 2]].mean()
    torch.testing.assert_close(task.losses(model, one, None), expected[None])


def cases() -> Cases:
    return Cases(
        name="last20",
        users=np.array([3, 5]),
        histories=[np.array([0]), np.array([1, 2])],
        targets=[np.array([4, 1]), np.array([6])],
        excluded=0,
        history_values=[np.ones(1, dtype=np.float32), np.ones(2, dtype=np.float32)],
    )


def test_each_item_is_searched_for_by_itself_and_a_user_gets_the_mean():
    # a query is its item's unit vector but for item 4's, which is item 5's: item 5 comes first there, and items 1 to 4
    # and 6 share the rest, among which ties decide
    vectors = np.eye(NUM_ITEMS, dtype=np.float32)
    asked = np.repeat(vectors, EACH, axis=0)
    asked[4 * EACH + 3] = vectors[5] + 0.5 * vectors[4]
    found = open_task(WANTED).evaluate(
        text_match_scorer(vectors), cases(), Judged(NUM_ITEMS, (1, 10), None, None, asked)
    )
    assert [ranks.tolist() for ranks in found.ranks] == [[2, 1], [1]]
    assert found.per_user["mrr@10"].tolist() == [(1 / 2 + 1) / 2, 1]
    assert found.per_user["recall@1"].tolist() == [(0 + 1) / 2, 1]
    assert found.per_user["ndcg@10"].tolist() == pytest.approx([(1 / np.log2(3) + 1) / 2, 1], abs=1e-12)
    assert found.recommended.shape == (2, 0)


def test_its_metrics_agree_with_ranx(monkeypatch):
    # compiling ranx takes a minute, running it as plain Python a moment
    monkeypatch.setattr(pytest.importorskip("numba").config, "DISABLE_JIT", True)
    ranx = pytest.importorskip("ranx")
    rng = np.random.default_rng(0)
    scores = rng.permuted(np.tile(np.arange(12, dtype=np.float32), (5, 1)), axis=1)  # no ties
    targets = [np.array([7]), np.array([1, 9, 3]), np.array([11])]
    found = open_task(WANTED).evaluate(
        lambda queries: queries.asked[:, :12],
        Cases("last20", np.arange(3), [np.array([0])] * 3, targets, 0, "", [np.ones(1, dtype=np.float32)] * 3),
        Judged(12, (3, 10), None, None, _asking(targets, scores)),
    )
    names = {f"q{place}": item for place, item in enumerate(np.concatenate(targets).tolist())}
    qrels = ranx.Qrels({query: {f"i{item}": 1} for query, item in names.items()})
    ranked = ranx.Run(
        {query: {f"i{item}": float(scores[place, item]) for item in range(1, 12)} for place, query in enumerate(names)}
    )
    asked = ["mrr@10", "recall@3", "ndcg@10"]
    theirs = ranx.evaluate(qrels, ranked, asked, return_mean=False)
    for name in asked:
        by_user = [theirs[name][:1].mean(), theirs[name][1:4].mean(), theirs[name][4:].mean()]
        np.testing.assert_allclose(found.per_user[name], by_user, rtol=0, atol=1e-9)


def _asking(targets: list[np.ndarray], scores: np.ndarray) -> np.ndarray:
    """Return query vectors that are the scores wanted of the search for each target."""
    asked = np.zeros((12 * EACH, 12), dtype=np.float32)
    asked[np.concatenate(targets) * EACH + 3] = scores
    return asked


def test_a_recommender_is_told_words_and_no_item():
    # the judged queries of items 1 and 4 read alike, so their searches are the same question
    asked = np.random.default_rng(0).normal(size=(NUM_ITEMS * EACH, 3)).astype(np.float32)
    asked[4 * EACH + 3] = asked[1 * EACH + 3]
    seen: list[Queries] = []

    def scorer(queries: Queries) -> np.ndarray:
        seen.append(queries)
        return np.zeros((len(queries), NUM_ITEMS), dtype=np.float32)

    open_task(WANTED).evaluate(scorer, cases(), Judged(NUM_ITEMS, (10,), None, None, asked))
    (first, second, _), vectors = seen[0].histories, seen[0].asked
    assert first.tolist() == second.tolist() == [0]
    assert vectors[0].tolist() == vectors[1].tolist()


def test_a_model_that_reads_no_query_cannot_search():
    with pytest.raises(ConfigError, match="the task search is about the query of each example, which the model matrix"):
        require_trainable(experiment(task={"name": "search"}, model={"name": "matrix_factorization"}))
    require_trainable(WANTED)


def test_a_model_that_reads_ratings_is_for_tasks_that_give_them():
    model = {"name": "matrix_factorization", "options": {"feedback": "explicit"}}
    adapter = {"name": "full"}
    with pytest.raises(ConfigError, match=r"reads the value of each interaction .* choose task.name = 'rating'"):
        require_trainable(experiment(model=model, adapter=adapter))
    require_trainable(experiment(model=model, adapter=adapter, task={"name": "rating"}))


def test_controls_of_other_tasks_are_refused():
    with pytest.raises(ConfigError, match="the scores of ease say nothing that search judges"):
        open_task(experiment(task={"name": "search"}, evaluation={"controls": ["ease"]}))
    with pytest.raises(ConfigError, match="the scores of text_match say nothing that next_item judges"):
        open_task(experiment(evaluation={"controls": ["text_match"]}))


def test_a_finished_search_is_asked_with_what_somebody_types(tmp_path, monkeypatch):
    # weights at 0 but for the query's: what is typed as item 7's text is, finds it, however it was trained
    wanted = tiny_experiment(task={"name": "search"}, evaluation={"controls": ["text_match"]})
    done = run(wanted, RunOptions(out=tmp_path / "run", cache=world() / "cache"), silent)
    monkeypatch.setenv("FEDREC_CACHE", str(world() / "cache"))
    found = open_recommender(done.path)
    text = found.catalogue.texts[7]
    vectors = done.job.prepared.item_vectors.numpy()
    np.testing.assert_allclose(found.typed.vector(text, 0), vectors[7], atol=1e-4)
    for name, parameter in found.model.named_parameters():
        if name != "query_projection.weight":
            parameter.data.zero_()
    assert found.search(text, ["3"], k=1) == ["7"]
    assert "7" not in found.search(text, ["7"], k=5)
    other = run(tiny_experiment(), RunOptions(out=tmp_path / "other", cache=world() / "cache"), silent)
    with pytest.raises(RunError, match="was not trained to search"):
        open_recommender(other.path).search(text, ["3"])
