"""The masked sum is the sum, a round with too few clients opens nothing, and altered messages are noticed."""

from dataclasses import replace

import numpy as np
import pytest

from fedrec.core.errors import ConfigError, FederationError
from fedrec.privacy.secagg.errors import (
    OutOfTurnError,
    SecureAggregationError,
    TamperedError,
    TooFewClientsError,
)
from fedrec.privacy.secagg.protocol import server
from fedrec.privacy.secagg.protocol.client import Client, Gone
from fedrec.privacy.secagg.protocol.messages import Inbox, MaskedVector, PublicKeys
from fedrec.privacy.secagg.protocol.simulation import Dropouts, masked_sum, named_entropy
from fedrec.privacy.secagg.terms import Terms, neighbours_for

TERMS = Terms(round=3, cohort=5, threshold=3, length=2, bits=32)


def vectors(terms=TERMS):
    return {n: np.full(terms.length, 10**n, dtype=terms.dtype) for n in range(terms.cohort)}


class Round:
    """A round stopped before any of its steps, so that a test can do the next one wrong."""

    def __init__(self, terms=TERMS):
        self.terms = terms
        self.clients = {n: Client(n, terms) for n in range(terms.cohort)}
        self.roster = server.enrol(terms, [client.advertise() for client in self.clients.values()])

    def shared(self):
        self.posted = {n: client.share(self.roster) for n, client in self.clients.items()}
        self.inboxes = server.route(self.terms, self.roster, self.posted)
        return self

    def masked(self, *dropped):
        given = vectors(self.terms)
        masked = [self.clients[n].mask(box, given[n]) for n, box in self.inboxes.items() if n not in dropped]
        self.sum = server.add(self.terms, self.roster, tuple(self.inboxes), masked)
        return self

    def revealed(self):
        return {n: self.clients[n].unmask(self.sum.survivors) for n in self.sum.survivors}

    def open(self, revealed):
        return server.unmask(self.terms, self.roster, self.sum, revealed.values())


def test_everyone_stays():
    assert masked_sum(TERMS, vectors()).vector.tolist() == [11111, 11111]


def test_a_client_that_drops_out_after_sharing_is_not_in_the_sum():
    opened = masked_sum(TERMS, vectors(), Dropouts(shared=[1]))
    assert opened.vector.tolist() == [11101, 11101]
    assert opened.survivors == (0, 2, 3, 4)


def test_a_client_that_drops_out_after_masking_is_in_the_sum():
    assert masked_sum(TERMS, vectors(), Dropouts(masked=[0, 4])).vector.tolist() == [11111, 11111]


def test_dropouts_at_every_step_down_to_the_threshold():
    assert masked_sum(TERMS, vectors(), Dropouts(advertised=[0], shared=[4])).vector.tolist() == [1110, 1110]


@pytest.mark.parametrize(
    ("gone", "what"),
    [
        (Dropouts(advertised=[0, 1, 2]), "2 of 5 clients shared their secrets"),
        (Dropouts(shared=[0, 1, 2]), "2 of 5 clients sent a masked vector"),
        (Dropouts(masked=[0, 1, 2]), "2 of 5 clients revealed shares"),
        (Dropouts(advertised=[0], shared=[1], masked=[2]), "2 of 5 clients revealed shares"),
    ],
)
def test_below_the_threshold_the_round_fails_closed(gone, what):
    with pytest.raises(TooFewClientsError, match=what) as failure:
        masked_sum(TERMS, vectors(), gone)
    assert isinstance(failure.value, FederationError)


def test_too_few_advertise():
    with pytest.raises(TooFewClientsError, match="2 of 5 clients advertised keys"):
        masked_sum(TERMS, {0: vectors()[0], 1: vectors()[1]})


def test_a_client_itself_refuses_to_help_open_a_sum_of_too_few():
    round_ = Round().shared().masked()
    with pytest.raises(TooFewClientsError):
        round_.clients[0].unmask((0, 1))
    assert round_.clients[0].stage == Gone()


def test_a_sum_of_one_client_is_refused():
    with pytest.raises(ConfigError, match="a sum over 1 client is that client's vector"):
        Terms(round=0, cohort=1, threshold=1, length=2)


@pytest.mark.parametrize("threshold", [0, 2, 6])
def test_the_threshold_is_more_than_half_and_at_most_all(threshold):
    with pytest.raises(ConfigError, match="not more than half"):
        replace(TERMS, threshold=threshold)


@pytest.mark.parametrize("bad", [{"bits": 0}, {"bits": 65}, {"length": -1}, {"neighbours": 3}, {"neighbours": 0}])
def test_terms_without_meaning_are_refused(bad):
    with pytest.raises(ConfigError):
        replace(TERMS, **bad)


def test_two_clients_can_sum_when_both_stay():
    terms = Terms(round=0, cohort=2, threshold=2, length=1, bits=8)
    # 200 + 100 = 300 = 44 modulo 2^8
    assert masked_sum(terms, {7: np.array([200], "u1"), 3: np.array([100], "u1")}).vector.tolist() == [44]


def test_an_empty_vector_has_an_empty_sum():
    assert masked_sum(replace(TERMS, length=0), vectors(replace(TERMS, length=0))).vector.shape == (0,)


@pytest.mark.parametrize("bits", [1, 8, 9, 31, 33, 63, 64])
def test_any_number_of_bits(bits):
    terms = replace(TERMS, bits=bits)
    most = np.full(2, 2**bits - 1, dtype=terms.dtype)
    # 5 * (2^bits - 1) = -5 modulo 2^bits
    assert masked_sum(terms, dict.fromkeys(range(5), most)).vector.tolist() == [-5 % 2**bits] * 2


def test_a_ring_of_neighbours_gives_the_same_sum():
    terms = Terms(round=0, cohort=30, threshold=20, length=3, neighbours=10, seed=5)
    given = {n: np.arange(3, dtype="<u4") * n for n in range(30)}
    opened = masked_sum(terms, given, Dropouts(shared=[0, 7, 14], masked=[29, 3]))
    # 0 + ... + 29 = 435, less 0 + 7 + 14 = 21
    assert opened.vector.tolist() == [0, 414, 828]


def test_the_sum_has_the_same_bits_with_named_keys_and_with_the_systems():
    named = masked_sum(TERMS, vectors(), entropy=named_entropy(1, 3)).vector
    np.testing.assert_array_equal(named, masked_sum(TERMS, vectors()).vector)


def test_named_keys_repeat_themselves_by_seed_round_and_client():
    def keys(seed, round_, client):
        return Client(client, TERMS, named_entropy(seed, round_)(client)).advertise()

    assert keys(1, 2, 3) == keys(1, 2, 3)
    assert len({keys(*name).mask for name in [(1, 2, 3), (0, 2, 3), (1, 0, 3), (1, 2, 0)]}) == 4


def test_a_round_goes_on_from_saved_stages():
    round_ = Round().shared()
    round_.clients = {n: Client(n, TERMS, stage=client.stage) for n, client in round_.clients.items()}
    round_.masked(2)
    round_.clients = {n: Client(n, TERMS, stage=client.stage) for n, client in round_.clients.items()}
    assert round_.open(round_.revealed()).tolist() == [11011, 11011]


def test_secrets_are_not_shown():
    client = Round().clients[0]
    assert client.stage.mask_seed.hex() not in repr(client.stage)
    assert repr(client.stage) == "Advertised()"


# Out of turn


def test_every_step_is_taken_once_and_in_order():
    client = Client(0, TERMS)
    with pytest.raises(OutOfTurnError, match="every step is taken once, in order"):
        client.unmask((0, 1, 2))
    client.advertise()
    with pytest.raises(OutOfTurnError):
        client.advertise()
    with pytest.raises(OutOfTurnError):
        client.mask(Inbox((), ()), vectors()[0])


def test_shares_are_revealed_once():
    round_ = Round().shared().masked()
    round_.revealed()
    with pytest.raises(OutOfTurnError):
        round_.clients[0].unmask((0, 1, 2))
    assert round_.clients[0].stage == Gone()


def test_a_refused_step_ends_the_round_for_the_client():
    round_ = Round().shared()
    with pytest.raises(SecureAggregationError, match="to mask"):
        round_.clients[0].mask(round_.inboxes[0], np.zeros(3, "<u4"))
    with pytest.raises(OutOfTurnError):
        round_.clients[0].mask(round_.inboxes[0], vectors()[0])


# Altered, misdirected, repeated


def with_share(box, position, **change):
    return replace(box, shares=tuple(replace(s, **change) if i == position else s for i, s in enumerate(box.shares)))


def test_an_altered_ciphertext_is_detected():
    round_ = Round().shared()
    box = round_.inboxes[0]
    altered = bytes([box.shares[0].sealed[20] ^ 1])
    sealed = box.shares[0].sealed[:20] + altered + box.shares[0].sealed[21:]
    with pytest.raises(TamperedError, match="altered, or sealed for someone else"):
        round_.clients[0].mask(with_share(box, 0, sealed=sealed), vectors()[0])


@pytest.mark.parametrize("sealed", [b"", bytes(12), bytes(60)])
def test_a_ciphertext_of_any_size_is_refused_by_name(sealed):
    round_ = Round().shared()
    with pytest.raises(TamperedError):
        round_.clients[0].mask(with_share(round_.inboxes[0], 0, sealed=sealed), vectors()[0])


def test_a_share_for_another_client_is_detected_with_and_without_its_label():
    for relabel in ({}, {"receiver": 0}):
        round_ = Round().shared()
        stolen = next(share for share in round_.posted[1] if share.receiver == 2)
        box = round_.inboxes[0]
        shares = tuple(replace(stolen, **relabel) if share.sender == 1 else share for share in box.shares)
        with pytest.raises(TamperedError):
            round_.clients[0].mask(replace(box, shares=shares), vectors()[0])


def test_a_share_of_another_sender_or_another_round_is_detected():
    round_, other = Round().shared(), Round().shared()
    box = round_.inboxes[0]
    first, second = box.shares[:2]
    swapped = (replace(first, sealed=second.sealed), replace(second, sealed=first.sealed), *box.shares[2:])
    with pytest.raises(TamperedError):
        round_.clients[0].mask(replace(box, shares=swapped), vectors()[0])
    with pytest.raises(TamperedError):
        round_.clients[1].mask(other.inboxes[1], vectors()[1])


def test_a_missing_or_repeated_share_is_detected():
    for shares in (slice(1, None), slice(None, -1)):
        round_ = Round().shared()
        box = round_.inboxes[0]
        with pytest.raises(TamperedError, match="one share from each"):
            round_.clients[0].mask(replace(box, shares=box.shares[shares]), vectors()[0])


def test_a_roster_with_other_keys_in_a_clients_name_is_refused_by_it():
    round_ = Round()
    mine = round_.roster[0]
    forged = (replace(mine, mask=Client(9, TERMS).advertise().mask), *round_.roster[1:])
    with pytest.raises(TamperedError, match="its own public keys"):
        round_.clients[0].share(forged)


@pytest.mark.parametrize("place", [1, -1])
def test_a_roster_with_a_key_twice_is_refused(place):
    roster = list(Round().roster)
    roster[place] = replace(roster[0], client=roster[place].client)
    with pytest.raises(TamperedError, match="each once with keys of its own"):
        server.enrol(TERMS, roster)


def test_a_public_key_that_agrees_with_everyone_is_refused():
    round_ = Round()
    weak = tuple(PublicKeys(k.client, bytes(32), k.mask, k.self_tag) if k.client == 4 else k for k in round_.roster)
    with pytest.raises(TamperedError, match="no secret can be agreed"):
        round_.clients[0].share(weak)


def test_a_public_key_of_another_length_is_refused():
    with pytest.raises(TamperedError, match="32 bytes"):
        server.enrol(TERMS, [replace(keys, mask=keys.mask[: 20 + keys.client]) for keys in Round().roster])


def test_shares_posted_in_another_clients_name_are_refused():
    round_ = Round().shared()
    with pytest.raises(TamperedError, match="client 0 must post"):
        server.route(TERMS, round_.roster, {**round_.posted, 0: round_.posted[1]})


@pytest.mark.parametrize(
    "masked",
    [
        [MaskedVector(n, np.zeros(2, "<u4")) for n in (0, 1, 2, 2)],
        [MaskedVector(n, np.zeros(2, "<u4")) for n in (0, 1, 9)],
        [MaskedVector(n, np.zeros(3, "<u4")) for n in (0, 1, 2)],
        [MaskedVector(n, np.zeros(2, "<i4")) for n in (0, 1, 2)],
    ],
)
def test_masked_vectors_of_strangers_twice_or_of_another_shape_are_refused(masked):
    with pytest.raises(TamperedError):
        server.add(TERMS, Round().roster, (0, 1, 2, 3, 4), masked)


@pytest.mark.parametrize("kind", ["self_seeds", "mask_seeds"])
def test_an_altered_share_of_a_rebuilt_secret_is_detected(kind):
    round_ = Round().shared().masked(4)
    revealed = round_.revealed()
    shares = {owner: bytes([share[0] ^ 1]) + share[1:] for owner, share in getattr(revealed[0], kind).items()}
    with pytest.raises(TamperedError, match="a share was altered"):
        round_.open({**revealed, 0: replace(revealed[0], **{kind: shares})})


def test_a_client_that_reveals_both_shares_or_too_few_is_refused():
    round_ = Round().shared().masked(4)
    revealed = round_.revealed()
    reply = revealed[0]
    for wrong in (
        replace(reply, mask_seeds={**reply.mask_seeds, **reply.self_seeds}),
        replace(reply, self_seeds={}),
        replace(reply, mask_seeds={4: b"short"}),
    ):
        with pytest.raises(TamperedError, match="client 0 revealed other shares"):
            round_.open({**revealed, 0: wrong})


def test_survivors_must_have_shared_and_include_the_client_that_is_asked():
    for survivors in ((1, 2, 3), (0, 1, 9), (0, 1, 1)):
        with pytest.raises(TamperedError):
            Round().shared().masked().clients[0].unmask(survivors)


# Who is whose neighbour


def test_dropouts_that_cut_the_ring_in_two_open_nothing():
    # reach 1: neighbours on the ring only; without two that are not side by side it falls apart
    terms = Terms(round=0, cohort=6, threshold=4, length=1, neighbours=2)
    order = terms.ring(tuple(range(6))).order
    with pytest.raises(TooFewClientsError, match="fall apart"):
        masked_sum(terms, vectors(terms), Dropouts(shared=[order[0], order[3]]))


def test_too_few_neighbours_of_one_client_open_nothing():
    # 3 holders of each secret, of whom 2 rebuild it; order[1] loses both neighbours after masking
    terms = Terms(round=0, cohort=6, threshold=4, length=1, neighbours=2)
    order = terms.ring(tuple(range(6))).order
    with pytest.raises(TooFewClientsError, match=f"1 of 3 clients revealed shares of client {order[1]}'s"):
        masked_sum(terms, vectors(terms), Dropouts(masked=[order[0], order[2]]))


def test_with_fewer_replies_than_the_threshold_nothing_is_opened_even_if_every_secret_could_be_rebuilt():
    # 2 of 3 holders rebuild; without order[0] and order[3] each secret still has two, but 4 < 5 revealed
    terms = Terms(round=0, cohort=6, threshold=5, length=1, neighbours=2)
    order = terms.ring(tuple(range(6))).order
    with pytest.raises(TooFewClientsError, match="4 of 6 clients revealed shares, but no sum"):
        masked_sum(terms, vectors(terms), Dropouts(masked=[order[0], order[3]]))


def test_small_cohorts_are_complete_and_large_ones_need_more_neighbours_for_more_dropouts():
    assert neighbours_for(32, 17) is None
    assert neighbours_for(1000, 501, 1e-9) is None
    few, many = neighbours_for(1000, 800), neighbours_for(1000, 700)
    assert 20 < few < many < 200
