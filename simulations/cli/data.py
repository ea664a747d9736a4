"""`fedrec data`: which data sets there are, getting one, and looking at one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulations.cli.options import Json, Quiet, Settings

if TYPE_CHECKING:
    from fedrec.data.interactions import Dataset
    from fedrec.experiment.config import Experiment

Result = dict[str, Any]

app = typer.Typer(
    help="Data sets: which there are, getting one, looking at one.", no_args_is_help=True, rich_markup_mode=None
)


@app.command(name="list")
def list_sources(*, json: Json = False) -> Result:
    """List the data sets, and those already here."""
    from fedrec.core.places import default_cache
    from fedrec.data.download.acquire import cached
    from fedrec.data.load import known_sources
    from simulations.cli.terminal.output import show_table

    folder = default_cache() / "data"
    places = {source.name: cached(source.downloads, folder / source.name) for source in known_sources()}
    if not json:
        rows = [(source.name, source.summary, "yes" if places[source.name] else "") for source in known_sources()]
        show_table("", ["data set", "", "here"], rows)
    return {
        "datasets": {
            source.name: {"summary": source.summary, "terms": source.terms, "folder": _text(places[source.name])}
            for source in known_sources()
        }
    }


@app.command()
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", hidden=True)],
    *,
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    """Download a data set, and print its folder.

    NAME is one of `fedrec data list`. The download is checked by hash and kept in the cache; its terms are shown once.

    \b
    Example:
      fedrec data get movielens-100k
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.cli.terminal.progress import RichProgress

    with RichProgress(quiet=quiet) as progress:
        from fedrec.core.places import default_cache
        from fedrec.core.progress import DownloadBar
        from fedrec.data.download.acquire import acquire
        from simulations.plugins import PLUGINS

        bar = DownloadBar("downloading data", progress)
        folder = acquire(PLUGINS["datasets"]().get(name), default_cache(), notify=progress.notify, progress=bar)
    if not json:
        typer.echo(folder)
    return {"name": name, "folder": str(folder)}


@app.command()
def describe(
    subject: Annotated[str, typer.Argument(metavar="NAME_OR_FILE", hidden=True)],
    settings: Settings = [],  # noqa: B006 - typer copies it
    *,
    json: Json = False,
    quiet: Quiet = False,
) -> Result:
    """Load a data set, and tell what is in it.

    NAME_OR_FILE is a data set, an experiment file (its data section, or its platforms, count) or your own table. It is
    loaded as an experiment would, so what was cleaned away is told too.

    \b
    Examples:
      fedrec data describe movielens-100k --set data.min_value=4
      fedrec data describe my-experiment.toml
      fedrec data describe sales.csv --set data.table.user=customer --set data.table.item=sku
    """  # noqa: D301 - \b keeps the lines of the examples
    from simulations.cli.terminal.output import show_facts
    from simulations.cli.terminal.progress import RichProgress

    with RichProgress(quiet=quiet) as progress:
        from fedrec.core.places import default_cache
        from fedrec.core.progress import DownloadBar
        from fedrec.data.load import load_platforms

        experiment = _experiment_of(subject, settings)
        bar = DownloadBar("downloading data", progress)
        datasets = load_platforms(experiment, default_cache(), notify=progress.notify, progress=bar)
        described = {name: _facts(dataset) for name, dataset in datasets.items()}
    if not json:
        for name, facts in described.items():
            told = {"platform": name, **facts} if len(described) > 1 else facts
            show_facts({fact.replace("_", " "): _words(value) for fact, value in told.items()})
    return {"platforms": described} if len(described) > 1 else next(iter(described.values()))


def _experiment_of(subject: str, settings: list[str]) -> "Experiment":
    """Return an experiment with the data of an experiment file, of a data set's name, or of a table's path."""
    from fedrec.experiment.file import load_experiment
    from simulations.plugins import PLUGINS, SCENARIOS, registries_of

    registries = registries_of("data.name", "platforms.*.name")
    if subject.endswith(".toml"):
        return load_experiment(subject, settings, SCENARIOS, registries)
    if Path(subject).is_file():
        settings = ["data.name=table", f"data.path='{subject}'", *settings]
    else:
        PLUGINS["datasets"]().get(subject)
        settings = [f"data.name='{subject}'", *settings]
    return load_experiment(None, settings, SCENARIOS, registries)


def _facts(dataset: "Dataset") -> Result:
    import numpy as np

    rows, users, items = dataset.interactions, dataset.users, dataset.catalogue
    lengths = np.diff(rows.bounds)
    return {
        "name": dataset.name,
        "users": len(users),
        "items": len(items),
        "interactions": len(rows),
        "density": len(rows) / (len(users) * len(items)),
        "interactions_per_user": {
            "least": int(lengths.min()),
            "median": float(np.median(lengths)),
            "most": int(lengths.max()),
        },
        "user_attributes": {name: len(set(values) - {""}) for name, values in users.attributes.items()},
        "item_attributes": {name: len(set(values) - {""}) for name, values in items.attributes.items()},
        "texts": list(items.texts[:3]),
        "cleaning": dataset.cleaning,
        "terms": dataset.terms,
        "source": dataset.source,
        "order": "time" if dataset.order == "time" else "file: there are no times, so the last item is the file's last",
    }


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_words(entry)}" for name, entry in value.items()) or "none"
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
