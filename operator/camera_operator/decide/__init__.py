"""Decisions without I/O: from one frozen ``Observed`` to one ``Plan``."""
