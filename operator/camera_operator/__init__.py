"""The operator: from Camera, CameraGroup and CameraCategory to worker pods, and from their reports to status.

``watch`` fills ``cache``; ``reconcile`` takes one group at a time through ``observe`` (gather), ``decide`` (pure) and
``apply`` (writes). ``health_poller`` follows the workers' reports. Only ``watch``, ``observe``, ``apply``,
``cluster_api``, ``leader``, ``health_poller`` and ``status`` touch the cluster.
"""
