"""The bytes of a message are those of its content as Flower serialises it, the same for every message of a kind."""

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.common.serde import recorddict_to_proto

from clients.app import pack
from fedrec.training.task import CohortUpdate, nobody
from server.message_size import Sent, answered, asked_bytes, content_bytes
from simulations.engine.reply_size import sent_of
from tests.tiny import reply, sent_by


def question(run: str, number: int, numbers: int = 3) -> RecordDict:
    config = ConfigRecord({"run": run, "server-round": number, "rule": "plain", "flags": [1, 2], "mu": 0.5, "on": True})
    return RecordDict({"arrays": ArrayRecord({"w": Array(np.ones(numbers, np.float32))}), "config": config})


def test_a_content_has_the_bytes_that_flower_writes() -> None:
    for content in (question("", 1), reply(0, 1.0, 2.0).content, RecordDict()):
        assert content_bytes(content) == len(recorddict_to_proto(content).SerializeToString())


def test_neither_the_runs_place_nor_a_rounds_number_changes_a_size() -> None:
    sizes = {content_bytes(question(run, number)) for run in ("", "/a/long/path") for number in (1, 200, 2**40)}
    assert sizes == {content_bytes(question("", 1))}


def test_each_number_more_is_four_bytes_more() -> None:
    # up to the next multiple of 64 of Protobuf's own lengths: 3 and 4 numbers have lengths of as many digits
    assert content_bytes(question("", 1, 4)) - content_bytes(question("", 1, 3)) == 4


def test_a_round_downloads_a_content_for_each_message_and_uploads_one_for_each_answer() -> None:
    content = question("", 1)
    assert asked_bytes([]) == 0
    assert asked_bytes([Message(content, client, "train") for client in range(3)]) == 3 * content_bytes(content)
    replies = [reply(0, 1.0), reply(1, 1.0, 2.0), sent_by(2, Error(0, "no"))]
    assert answered(replies) == Sent(
        2, content_bytes(reply(0, 1.0).content) + content_bytes(reply(1, 1.0, 2.0).content)
    )


def test_answers_that_are_added_up_where_they_are_made_count_as_if_they_were_sent() -> None:
    parameters = {"w": torch.ones(3, 2, 5), "b": torch.ones(3, 7)}
    update = CohortUpdate(
        [4, 5, 6], parameters, {"own": torch.ones(3, 9)}, [1.0, 2.0, 3.0], [0.5, None, 0.5], {7: "no"}
    )
    packed = [pack(answer) for _, answer in update.each()]
    assert sent_of(update) == Sent(3, sum(map(content_bytes, packed)))
    assert content_bytes(packed[0]) > content_bytes(packed[1])  # only one has a loss
    assert sent_of(nobody({7: "no"})) == Sent()
    assert len(packed[0].array_records["arrays"]["w"].data) == 128 + 4 * 10  # a header of numpy's, and the numbers
    paid = CohortUpdate([4], {"w": torch.ones(1, 2)}, {}, [1.0], [None], extras={"c": torch.ones(1, 2)})
    assert sent_of(paid).bytes == content_bytes(pack(paid))
