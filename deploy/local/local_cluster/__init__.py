"""A real single-node Kubernetes on this machine, without a container registry or a download site.

from local_cluster import Cluster

cluster = Cluster.up(profile="control-plane", name="my-tests")
try:
    cluster.kubectl("apply", "-f", "-", input=manifest)
finally:
    cluster.down()
"""

from local_cluster.cluster import Cluster
from local_cluster.errors import BuildError, ClusterError, CommandError, ComponentError, PreflightError

__all__ = ["BuildError", "Cluster", "ClusterError", "CommandError", "ComponentError", "PreflightError"]
