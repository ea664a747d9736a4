"""The masked sum is the plain sum, for any cohort and dropouts; nobody can ask for both secrets of a client."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.core.errors import ConfigError
from fedrec.privacy.secagg.errors import TooFewClientsError
from fedrec.privacy.secagg.graph import Ring
from fedrec.privacy.secagg.integers.quantisation import Grid, finest
from fedrec.privacy.secagg.protocol import server
from fedrec.privacy.secagg.protocol.checks import check_opens
from fedrec.privacy.secagg.protocol.client import Client
from fedrec.privacy.secagg.protocol.simulation import Dropouts, masked_sum
from fedrec.privacy.secagg.terms import Terms

frugal = settings(max_examples=30, deadline=None)
STAYS = ("stays", "stays", "stays", "advertised", "shared", "masked")


@st.composite
def rounds(draw):
    cohort = draw(st.integers(2, 9))
    terms = Terms(
        round=draw(st.integers(0, 3)),
        cohort=cohort,
        threshold=draw(st.integers(cohort // 2 + 1, cohort)),
        length=draw(st.integers(0, 5)),
        bits=draw(st.integers(1, 64)),
        neighbours=draw(st.sampled_from([None, 2, 4, 6])),
        seed=draw(st.integers(0, 9)),
    )
    numbers = draw(st.lists(st.integers(0, 10**6), min_size=cohort, max_size=cohort, unique=True))
    value = st.integers(0, 2**terms.bits - 1)
    vectors = {
        n: np.array(draw(st.lists(value, min_size=terms.length, max_size=terms.length)), dtype=terms.dtype)
        for n in numbers
    }
    fates = {n: draw(st.sampled_from(STAYS)) for n in numbers}
    return terms, vectors, fates


@frugal
@given(rounds())
def test_the_masked_sum_is_the_plain_sum_or_nothing(drawn):
    terms, vectors, fates = drawn
    gone = {step: [n for n, fate in fates.items() if fate == step] for step in ("advertised", "shared", "masked")}
    summed = [n for n, fate in fates.items() if fate in {"stays", "masked"}]
    left = sum(fate == "stays" for fate in fates.values())
    try:
        opened = masked_sum(terms, vectors, Dropouts(**gone))
    except TooFewClientsError:
        # A complete graph fails below the threshold only; a ring also when it falls apart.
        assert left < terms.threshold or terms.neighbours is not None
        return
    assert left >= terms.threshold
    assert opened.survivors == tuple(sorted(summed))
    plain = [sum(int(vectors[n][place]) for n in summed) % 2**terms.bits for place in range(terms.length)]
    assert opened.vector.tolist() == plain


@frugal
@given(rounds())
def test_without_masks_the_same_rounds_are_lost(drawn):
    terms, vectors, fates = drawn
    left = [n for n in sorted(fates) if fates[n] == "stays"]
    dropped = Dropouts(shared=[n for n in fates if fates[n] != "stays"])
    lost = []
    for attempt in (
        lambda: masked_sum(terms, vectors, dropped),
        lambda: check_opens(terms, tuple(sorted(vectors)), left),
    ):
        try:
            attempt()
        except TooFewClientsError as error:
            lost.append(str(error))
        else:
            lost.append("")
    assert lost[0] == lost[1]


@frugal
@given(st.data())
def test_whatever_a_server_tells_whom_it_can_rebuild_one_of_a_clients_secrets_at_most(data):
    cohort = data.draw(st.integers(3, 6))
    threshold = data.draw(st.integers(cohort // 2 + 1, cohort))
    neighbours = data.draw(st.sampled_from([None, 2, 4]))
    terms = Terms(round=0, cohort=cohort, threshold=threshold, length=1, neighbours=neighbours)
    clients = {n: Client(n, terms) for n in range(cohort)}
    roster = server.enrol(terms, [client.advertise() for client in clients.values()])
    inboxes = server.route(terms, roster, {n: client.share(roster) for n, client in clients.items()})
    for n, client in clients.items():
        client.mask(inboxes[n], np.zeros(1, dtype="<u4"))
    selves, keys = dict.fromkeys(clients, 0), dict.fromkeys(clients, 0)
    for n, client in clients.items():
        told = data.draw(st.sets(st.integers(0, cohort - 1), min_size=threshold).filter(lambda s, n=n: n in s))
        try:
            reply = client.unmask(tuple(sorted(told)))
        except TooFewClientsError:  # the ring falls apart
            continue
        assert not reply.self_seeds.keys() & reply.mask_seeds.keys()
        for owner in reply.self_seeds:
            selves[owner] += 1
        for owner in reply.mask_seeds:
            keys[owner] += 1
    ring = terms.ring(tuple(clients))
    for owner in clients:
        needed = terms.shares_needed(len(ring.holders(owner)))
        assert not (selves[owner] >= needed and keys[owner] >= needed)


@given(st.integers(2, 14), st.integers(1, 8), st.data())
def test_a_ring_is_mutual_and_connected_exactly_when_a_search_finds_everyone(size, reach, data):
    ring = Ring(tuple(data.draw(st.permutations(range(size)))), min(reach, size // 2))
    for a in range(size):
        assert len(ring.neighbours(a)) == min(2 * ring.reach, size - 1)
        assert all(a in ring.neighbours(b) for b in ring.neighbours(a))
    alive = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    found, edge = set(), [min(alive)]
    while edge:
        at = edge.pop()
        found.add(at)
        edge += [n for n in ring.neighbours(at) if n in alive and n not in found]
    assert ring.connected(alive) == (found == alive)


@st.composite
def grids(draw):
    cohort = draw(st.integers(1, 50))
    clip_norm = draw(st.floats(1e-3, 1e3))
    bits = draw(st.integers(20, 64))
    rounding = draw(st.sampled_from(["nearest", "stochastic"]))
    return Grid(bits, cohort, finest(bits, cohort, clip_norm), clip_norm, rounding=rounding)


@given(grids(), st.integers(0, 6), st.integers(0, 2**32), st.floats(1e-4, 1e4))
def test_a_decoded_sum_is_within_the_stated_error_and_no_client_beyond_its_norm(grid, length, seed, scale):
    rng = np.random.default_rng(seed)
    dtype = Terms(0, 2, 2, length, grid.bits).dtype
    vectors = [rng.normal(0, scale * grid.clip_norm, length) for _ in range(grid.cohort)]
    integers = [grid.integers(vector, rng) for vector in vectors]
    for whole in integers:
        assert math.sqrt(sum(int(n) ** 2 for n in whole)) * grid.step <= grid.clip_norm
    total = np.zeros(length, dtype)
    for whole in integers:
        total = (total + grid.encode(whole, dtype)) & dtype.type(2**grid.bits - 1)
    clipped = np.array([math.fsum(grid.clipped(v)[i] for v in vectors) for i in range(length)])
    # A float64 knows the sum to 2^-53 of itself; with 64 bits that is more than the step.
    slack = 2**-50 * grid.cohort * grid.clip_norm
    assert (np.abs(grid.decode(total) - clipped) <= grid.worst_error + slack).all()


@given(st.integers(2, 64), st.integers(1, 2000), st.floats(1e-6, 1e6), st.floats(0, 10))
def test_the_finest_step_has_room_whenever_there_is_one(bits, cohort, clip_norm, deviation):
    try:
        step = finest(bits, cohort, clip_norm, deviation)
    except ConfigError:
        assert 2 * cohort > 2 ** (bits - 1) - 1
        return
    grid = Grid(bits, cohort, step, clip_norm)
    assert grid.units * cohort < 2 ** (bits - 1)
    with pytest.raises(ConfigError):
        Grid(bits, cohort, step / 4, clip_norm + 12 * deviation)
