"""`python -m tests.collect_small FLAGS`: latency.collect, with the tests' small network, and scatter overlooked."""

import sys

from fleetpose import cli
from latency import collect
from tests.scatter import overlook_scatter
from tests.small_network import register_small

if __name__ == "__main__":
    register_small()
    overlook_scatter()
    sys.exit(cli.run(collect.main, collect.make_parser(), sys.argv[1:]))
