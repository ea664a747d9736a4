"""A Ray cluster of two nodes on this machine, of which one is lost."""

import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from clients.cohort import CohortRequest, answer_cohort
from fedrec.training.task import CohortUpdate
from simulations.engine.ray_pool import RayWorkerPool
from simulations.engine.ray_session import ray_session
from simulations.engine.work import Parameters
from tests.integration.conftest import Outcome, outcome
from tests.integration.many import Many


def test_a_node_that_is_lost_in_a_round_changes_no_bit(many: Many, many_steady: Outcome, tmp_path: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 10**8})
    second = cluster.add_node(num_cpus=1, object_store_memory=10**8)
    node, marker = second.node_id, tmp_path / "marker"

    def train(request: CohortRequest, parameters: Parameters, extras: Parameters) -> CohortUpdate:
        if ray.get_runtime_context().get_node_id() == node and not marker.exists():
            marker.write_text("at work")
            time.sleep(600)
        return answer_cohort(request, parameters, extras)

    def kill() -> None:
        while not marker.exists():
            time.sleep(0.05)
        cluster.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill)
    try:
        with ray_session(2, cluster.address):
            actors = RayWorkerPool(2)
            killer.start()
            found = outcome(*many.run(actors, train))
            actors.close()
        killer.join()
    finally:
        cluster.shutdown()
    assert found == many_steady
