"""The end of a run: the chosen adapter is scored on the test users, once, beside its controls, and all is written."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from numpy.typing import NDArray

from fedrec.core.freed_memory import give_back
from fedrec.core.progress import Progress
from fedrec.data.platform import PLATFORM
from fedrec.evaluation.controls import CONTROLS, Control
from fedrec.evaluation.controls.canary import check_canary
from fedrec.evaluation.controls.kept import Kept, KeptControls
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.groups import compare_groups, labels_of
from fedrec.evaluation.later_items import judge_later_items
from fedrec.evaluation.result.selection import Selection, finished
from fedrec.evaluation.statistics.significance import bootstrap_interval, compare
from fedrec.evaluation.statistics.stored import keep_result
from fedrec.evaluation.validation.volunteers import Volunteers
from fedrec.metrics.evaluation import Evaluation
from fedrec.models.adapters import parameters_sha256
from fedrec.models.linear.branch import without_branch
from fedrec.privacy.disclosure import PRIVATE, published, summary_fields
from fedrec.reporting.cautions import Caution, cautions
from fedrec.reporting.claim import claim
from fedrec.reporting.run.report import render_report
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.directory import TEST, RunDirectory
from fedrec.run.environment import environment
from fedrec.tasks import Task
from fedrec.training.rules.base import LocalWork, Rule


def conclude(
    run: RunDirectory, evaluator: Evaluator, last: Checkpoint, progress: Progress, rule: Rule | None = None
) -> dict[str, Any]:
    """Score, compare, check the canary, and write adapter, ledger, summary and report; returns the whole summary.

    What a deployment could publish goes to `public/`, all of it to `private/`.

    Args:
        run: The run.
        evaluator: Of the run.
        last: Its last checkpoint.
        progress: Told of the work.
        rule: The clients' rule; plain training by default.

    Raises:
        CanaryError: If clients that never federated beat every reference: some held-out data leaked.
    """
    task = evaluator.task
    evaluator.learn_popularity(last.released)
    result = finished(last, run.experiment, run.job.plan, evaluator)
    chosen = result.parameters
    test = evaluator.test(evaluator.scorer(chosen))
    kept = _kept_controls(run, evaluator, progress)
    controls = {name: one.control for name, one in kept.items()}
    validation = run.job.validation
    if validation.private:  # a control is scored on test users, who are no volunteers then
        controls = {name: replace(control, disclosure=PRIVATE) for name, control in controls.items()}
    paid = validation.charge(last.validation_ledger, validation.result)
    warned = _cautions(run, evaluator, test)
    if told := check_canary(controls, task.headline):
        warned.append(Caution(told, PRIVATE))
    volunteers = Volunteers(evaluator, task.headline)
    groups = run.experiment.evaluation.groups
    if len(run.job.prepared.platforms) > 1:
        groups = tuple(dict.fromkeys((PLATFORM, *groups)))
    own_rule = rule or Rule(LocalWork.of(run.experiment))
    later = judge_later_items(run.job, evaluator, chosen, own_rule, last.round, progress)
    rounds = run.rounds()
    labels = {target: labels_of(evaluator.test_cases(target), run.job.prepared.users, groups) for target in test}
    keep_result(run.private / TEST, run.experiment.fingerprint, test, labels)
    trained = sum(line.get("seconds", 0.0) for line in rounds)
    seconds = {
        "rounds": trained,
        "client_round": trained / max(1, sum(line["answers"] for line in rounds if line["round"] > 0)),
        "controls": sum(one.seconds for one in kept.values()),
    }
    summary = {
        **_identity(run, evaluator, result, last.round),
        "metrics": {
            "validation": evaluator.validation.of_result(chosen),
            "test": {target: evaluation.to_json() for target, evaluation in test.items()},
        },
        **({"exact": {"validation": volunteers.of_result(chosen)}} if validation.private else {}),
        "intervals": _intervals(test, task.shown),
        "groups": {
            target: compare_groups(
                {name: evaluation.per_user[name] for name in task.shown if name in evaluation.per_user},
                evaluator.test_cases(target),
                run.job.prepared.users,
                groups,
                errors=task.errors,
            ).to_json()
            for target, evaluation in test.items()
        },
        "controls": _beside(test, controls, task),
        **({} if later is None else {"later_items": later.told(task)}),
        "privacy": claim(run.job, last.ledger, paid).summary,
        "communication": _communication(rounds),
        **_filters(rounds),
        "faults": _faults(rounds),
        "warnings": [caution.text for caution in warned],
        "timing": {**run.job.prepared.facts["timing"], **{name: round(value, 3) for name, value in seconds.items()}},
        "environment": environment(),
    }
    classes = summary_fields(
        {name: control.disclosure for name, control in controls.items()},
        run.job.plan,
        validation,
        transforms=bool(run.experiment.transforms),
    )
    shown = {name: control for name, control in controls.items() if control.disclosure is not PRIVATE}
    # Compared anew: a Holm-corrected p-value depends on all that it is compared with.
    public_warnings = [caution.text for caution in warned if caution.disclosure is not PRIVATE]
    public = published({**summary, "controls": _beside(test, shown, task), "warnings": public_warnings}, classes)
    run.conclude(summary, public, chosen, last.ledger, paid if validation.private else None)
    render_report(run.path)
    return run.summary()


def _kept_controls(run: RunDirectory, evaluator: Evaluator, progress: Progress) -> dict[str, Kept]:
    """Return the controls that were asked for, by name; those that an interrupted run had finished are not repeated."""
    names = evaluator.task.asked_controls
    files = KeptControls(run.private / "controls", run.experiment.fingerprint)
    kept: dict[str, Kept] = {}
    for number, name in enumerate(names):
        progress("controls", number, len(names), name)
        found = files.find(name, progress)
        if found is None:
            began = time.monotonic()
            give_back()
            control = CONTROLS.get(name)(run.job, evaluator, progress)
            found = Kept(control, time.monotonic() - began)
            files.keep(name, found)
        kept[name] = found
    if names:
        progress("controls", len(names), len(names))
    return kept


def _identity(run: RunDirectory, evaluator: Evaluator, result: Selection, rounds_run: int) -> dict[str, Any]:
    chosen = result.parameters
    facts, experiment = run.job.prepared.facts, run.experiment
    _, private = run.job.training_context.split(run.job.training_context.start)
    return {
        "fedrec": version("fedrec"),
        "name": run.name,
        "fingerprint": experiment.fingerprint,
        "parameters_sha256": parameters_sha256(chosen),
        "rounds": experiment.rounds,
        "rounds_run": rounds_run,
        "chosen_round": result.round,
        "popularity_weight": result.popularity,
        "popularity_of": evaluator.popular.of,
        **(
            {}
            if result.linear is None
            else {
                "linear_branch": {
                    **experiment.linear.model_dump(),
                    "gain": result.linear.gain,
                    "next_item_share": result.linear.share,
                }
            }
        ),
        "dataset": facts["dataset"],
        "task": {
            "name": experiment.task.name,
            "targets": {name: cut.words for name, cut in evaluator.targets.items()},
            "headline": vars(evaluator.task.headline),
            "ranks": evaluator.task.ranks,
        },
        "split": facts["split"],
        "federation": {**facts["federation"], "partition": experiment.federation.partition},
        "model": {
            "name": experiment.model.name,
            "parameters": facts["model_parameters"],
            "base": experiment.model.base,
            "encoder": experiment.text.encoder,
            "encoder_sha256": facts["encoder_sha256"],
        },
        "adapter": {
            "name": experiment.adapter.name,
            "parameters": sum(value.numel() for value in without_branch(chosen).values()),
            "bytes": sum(value.nbytes for value in without_branch(chosen).values()),
            "private_parameters": sum(value.numel() for value in private.values()),
        },
        "strategy": {"name": experiment.strategy.name, "options": experiment.strategy.options},
        "transforms": [{"name": entry.name, "options": entry.options} for entry in experiment.transforms],
    }


def _cautions(run: RunDirectory, evaluator: Evaluator, test: Mapping[str, Evaluation]) -> list[Caution]:
    dataset = run.job.prepared.facts["dataset"]
    return cautions(
        dataset["order"],
        dataset["items"],
        evaluator.cutoffs,
        {target: evaluator.test_cases(target) for target in test},
        users_are_public=run.job.plan.adjacency != "add-remove",
        volunteers=not run.job.validation.private,
        of_task=evaluator.task.caution,
    )


def _intervals(test: Mapping[str, Evaluation], shown: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    return {
        target: {name: _interval(values) for name, values in evaluation.per_user.items() if name in shown}
        for target, evaluation in test.items()
    }


def _interval(values: NDArray[Any]) -> list[float]:
    found = bootstrap_interval(values)
    return [found.low, found.high]


def _beside(test: Mapping[str, Evaluation], controls: Mapping[str, Control], task: Task) -> dict[str, Any]:
    """Return each control's metrics, intervals and Holm-corrected paired test against the federated model."""
    metric = task.headline.metric
    tests = {
        target: compare(
            test[target].per_user[metric],
            {name: control.test[target].per_user[metric] for name, control in controls.items()},
        )
        for target in test
    }
    return {
        name: {
            "test": {target: evaluation.to_json() for target, evaluation in control.test.items()},
            "intervals": _intervals(control.test, task.shown),
            "p_value": {target: tests[target][name].p_holm for target in test},
            "minimal_difference": {target: tests[target][name].minimal_difference for target in test},
            "note": control.note,
            "disclosure": control.disclosure,
        }
        for name, control in controls.items()
    }


def _communication(rounds: list[dict[str, Any]]) -> dict[str, int | None]:
    """Return what travelled both ways: of a client in a round on average, None if no client sent anything, and in all.

    What was asked before the first round counts in the totals alone.
    """
    found: dict[str, int | None] = {}
    for way, clients in (("upload", "answers"), ("download", "cohort")):
        key, trained = f"{way}_bytes", [line for line in rounds if line["round"] > 0]
        messages = sum(line[clients] for line in trained)
        found[f"{key}_per_client_round"] = round(sum(line[key] for line in trained) / messages) if messages else None
        found[f"{key}_total"] = sum(line.get(key, 0) for line in rounds)
    return found


def _filters(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return who could still take part after each round, and what was spent in the end; nothing without filters."""
    told = [line["filter"] for line in rounds if "filter" in line]
    if not told:
        return {}
    active = [found["active"] for found in told]
    return {"filter": {"active_after_rounds": active, "clients_by_tenth_spent": told[-1]["spent_tenths"]}}


def _faults(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    rejections = [rejection for line in rounds for rejection in line.get("rejections", [])]
    return {
        "rejected": dict(Counter(rejection["reason"] for rejection in rejections)),
        "clients": dict(Counter(str(rejection["client"]) for rejection in rejections)),
    }
