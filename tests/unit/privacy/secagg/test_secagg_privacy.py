"""The server sees masked vectors and the sum: by what its functions take, what it holds, and how masks are spread."""

import ast
import dataclasses
import inspect
import typing
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pytest
from scipy import stats

from fedrec.privacy.secagg.protocol import masks, server
from fedrec.privacy.secagg.protocol.client import Client
from fedrec.privacy.secagg.protocol.messages import Inbox, MaskedVector, PublicKeys, Revealed, SealedShare
from fedrec.privacy.secagg.protocol.simulation import named_entropy
from fedrec.privacy.secagg.terms import Terms

PUBLIC = {Terms, PublicKeys, SealedShare, Inbox, MaskedVector, server.MaskedSum, Revealed, int}


def steps():
    return [f for name, f in inspect.getmembers(server, inspect.isfunction) if f.__module__ == server.__name__]


def leaves(kind):
    """The types inside Iterable[...], tuple[...] and Mapping[...]."""
    inner = [arg for arg in typing.get_args(kind) if arg is not ...]
    return {leaf for arg in inner for leaf in leaves(arg)} if inner else {kind}


def test_the_servers_steps_take_masked_vectors_public_keys_ciphertexts_and_shares_only():
    public = [f for f in steps() if not f.__name__.startswith("_")]
    assert {f.__name__ for f in public} == {"enrol", "route", "add", "unmask"}
    for function in public:
        hints = typing.get_type_hints(function)
        taken = {leaf for name, kind in hints.items() if name != "return" for leaf in leaves(kind)}
        assert taken <= PUBLIC, function


def test_no_function_of_the_server_takes_a_bare_vector():
    for function in steps():
        for name, kind in typing.get_type_hints(function).items():
            assert name == "return" or np.ndarray not in {typing.get_origin(kind), kind}, (function, name)


def test_the_server_imports_nothing_of_the_clients():
    imported = {
        node.module for node in ast.walk(ast.parse(inspect.getsource(server))) if isinstance(node, ast.ImportFrom)
    }
    allowed = {"checks", "errors", "graph", "masks", "messages", "primitives", "terms"}
    ours = {name.rpartition(".")[2] for name in imported if "secagg" in name}
    assert ours <= allowed
    assert not any("client" in name or "quantisation" in name for name in imported)


def arrays_in(thing):
    """Every array in a transcript, however deep."""
    if isinstance(thing, np.ndarray):
        yield thing
    elif dataclasses.is_dataclass(thing):
        yield from arrays_in([getattr(thing, field.name) for field in dataclasses.fields(thing)])
    elif isinstance(thing, Mapping):
        yield from arrays_in(list(thing.values()))
    elif isinstance(thing, Sequence | Iterable) and not isinstance(thing, str | bytes):
        for part in thing:
            yield from arrays_in(part)


def transcript_of(terms, vectors, dropped=(), entropy=None):
    """All that passes the server, by step; the late vectors of dropped clients reach it, too."""
    clients = {n: Client(n, terms, **({"entropy": entropy(n)} if entropy else {})) for n in vectors}
    roster = server.enrol(terms, [client.advertise() for client in clients.values()])
    posted = {n: client.share(roster) for n, client in clients.items()}
    inboxes = server.route(terms, roster, posted)
    masked = {n: clients[n].mask(box, vectors[n]) for n, box in inboxes.items()}
    total = server.add(terms, roster, tuple(inboxes), [masked[n] for n in masked if n not in dropped])
    revealed = [clients[n].unmask(total.survivors) for n in total.survivors]
    opened = server.unmask(terms, roster, total, revealed)
    return {
        "roster": roster,
        "posted": posted,
        "inboxes": inboxes,
        "masked": masked,
        "total": total,
        "revealed": revealed,
        "opened": opened,
    }


def test_the_transcript_holds_no_vector_and_no_sum_but_the_survivors():
    terms = Terms(round=0, cohort=5, threshold=3, length=4, bits=64)
    rng = np.random.default_rng(0)
    vectors = {n: rng.integers(0, 2**40, 4, dtype="<u8") for n in range(5)}
    transcript = transcript_of(terms, vectors, dropped=[2])
    opened = transcript.pop("opened")
    np.testing.assert_array_equal(opened, sum(v for n, v in vectors.items() if n != 2))
    seen = list(arrays_in(transcript))
    assert len(seen) == 6  # five masked vectors and their masked sum
    subsets = [[n for n in range(5) if mask >> n & 1] for mask in range(1, 32)]
    secret = {sum(vectors[n] for n in subset).tobytes() for subset in subsets}
    assert not secret & {array.tobytes() for array in seen}


def test_a_late_vector_stays_masked_when_its_owners_mask_key_is_rebuilt():
    # Why masks are double: the server calls client 2 dropped, rebuilds its mask key, and then its vector arrives.
    terms = Terms(round=0, cohort=3, threshold=2, length=1000, bits=16)
    vectors = {n: np.zeros(1000, "<u2") for n in range(3)}
    clients = {n: Client(n, terms, named_entropy(0, 0)(n)) for n in range(3)}
    roster = server.enrol(terms, [client.advertise() for client in clients.values()])
    secrets = clients[2].stage
    inboxes = server.route(terms, roster, {n: client.share(roster) for n, client in clients.items()})
    late = clients[2].mask(inboxes[2], vectors[2]).vector
    private = masks.mask_private(secrets.mask_seed, terms, 2)
    for other in (0, 1):
        late = late - masks.pair_mask(private, roster[2], roster[other], terms)
    assert stats.chisquare(np.bincount(late >> 12, minlength=16)).pvalue > 1e-3
    np.testing.assert_array_equal(late, masks.self_mask(secrets.self_seed, terms, 2))


# Each run has other keys: what one who knows no key sees. All draws are named, so nothing here is left to luck.
RUNS, LENGTH, BITS = 150, 64, 20


def masked_many_times(value, seed=0):
    terms = Terms(round=0, cohort=3, threshold=2, length=LENGTH, bits=BITS)
    vector = np.full(LENGTH, value, dtype=terms.dtype)
    seen = []
    for run in range(RUNS):
        clients = {n: Client(n, terms, named_entropy(seed, run)(n)) for n in range(3)}
        roster = server.enrol(terms, [client.advertise() for client in clients.values()])
        inboxes = server.route(terms, roster, {n: client.share(roster) for n, client in clients.items()})
        seen.append(clients[0].mask(inboxes[0], vector).vector)
    return np.stack(seen)


@pytest.fixture(scope="module")
def seen():
    return {value: masked_many_times(value, seed) for seed, value in enumerate((0, 2**BITS - 1))}


@pytest.mark.parametrize("value", [0, 2**BITS - 1])
def test_a_masked_vector_is_uniform_in_every_bit_and_in_groups_of_bits(seen, value):
    numbers = seen[value].ravel()
    assert numbers.max() < 2**BITS
    for bit in range(BITS):
        assert stats.chisquare(np.bincount(numbers >> bit & 1, minlength=2)).pvalue > 1e-4
    for shift in range(0, BITS, 5):
        assert stats.chisquare(np.bincount(numbers >> shift & 31, minlength=32)).pvalue > 1e-4


def test_masked_vectors_do_not_depend_on_what_is_under_them(seen):
    tables = [np.bincount(numbers.ravel() >> (BITS - 6), minlength=64) for numbers in seen.values()]
    assert stats.chi2_contingency(np.stack(tables)).pvalue > 1e-4


def test_masked_numbers_are_independent_of_each_other_and_of_the_next_rounds(seen):
    signs = (seen[0] >> (BITS - 1)).astype(float) - 0.5
    for a, b in ((signs[:, :-1], signs[:, 1:]), (signs[:-1], signs[1:])):
        # correlation of n signs has a deviation of 1 / sqrt(n)
        assert abs((a * b).sum() * 4 / a.size) < 4 / np.sqrt(a.size)


def test_a_mask_missing_would_be_noticed():
    # The test itself is tested: without its own mask, and its neighbours' keys known, a vector of zeros is zeros.
    assert stats.chisquare(np.bincount(np.zeros(RUNS * LENGTH, int), minlength=2)).pvalue < 1e-9
