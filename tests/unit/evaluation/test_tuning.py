"""Settings of controls are picked by validation users, a setting at a time, and by nobody where they are private."""

from types import SimpleNamespace

from fedrec.evaluation.controls.tuning import in_words, tuned

GRID = {"decay": (10.0, 5.0, 20.0), "l2": (3.0, 1.0)}
GAINS = {(10, 3): 0.1, (5, 3): 0.3, (20, 3): 0.3, (5, 1): 0.2, (20, 1): 0.9}


def evaluator(*, can_tune):
    asked = []

    def validation_gain(scorer):
        asked.append(scorer)
        return GAINS[scorer]

    return SimpleNamespace(can_tune=can_tune, validation_gain=validation_gain, tuned={}, asked=asked)


def scorer_of(decay, l2):
    return decay, l2


def test_one_setting_after_the_other_and_the_first_of_equals():
    found = evaluator(can_tune=True)
    settings = tuned(found, "mine", GRID, scorer_of)
    # decay first: 5 and 20 are equal, so 5; then l2 at 5, where 1 is worse. (20, 1) is never tried.
    assert settings == {"decay": 5, "l2": 3}
    assert found.asked == [(10, 3), (5, 3), (20, 3), (5, 1)]
    assert in_words(found, settings, GRID) == "decay 5, l2 3 (by validation users, of decay 5, 10, 20; l2 1, 3)"
    assert tuned(found, "mine", GRID, scorer_of) == settings
    assert len(found.asked) == 4, "what is known is not asked again"


def test_where_nobody_may_be_asked_the_defaults_stay():
    found = evaluator(can_tune=False)
    settings = tuned(found, "mine", GRID, scorer_of)
    assert settings == {"decay": 10, "l2": 3}
    assert found.asked == []
    assert in_words(found, settings, GRID) == "decay 10, l2 3 (fixed)"
