"""Memory of a server before and after pages were opened and left, in MB, as two printed numbers."""

import gc
import resource
import sys
import time

from dashboards.scripted import ScriptedNetwork
from dashboards.short_sessions import served_in_this_process

from imnn_lab.dashboards import TrainingDashboard
from imnn_lab.dashboards.page import page


def memory():
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


if __name__ == "__main__":
    network = ScriptedNetwork()
    network.train(5000)
    with served_in_this_process(lambda: page("Network", TrainingDashboard(network))) as session:
        for n in (5, int(sys.argv[1])):
            for _ in range(n):
                session().close()
            time.sleep(3)
            print(f"{memory():.1f}", flush=True)
