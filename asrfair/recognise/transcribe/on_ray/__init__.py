"""A run's work on a cluster that Ray runs: ``asrfair run SUITE --on ray[://HOST:PORT]``.

``cluster`` finds the cluster and compares its nodes, ``actors`` is what runs there, ``crew`` hands out work from here,
``parcels`` says how recordings and noise get to nodes that share no disk with this one.
"""

from asrfair.recognise.transcribe.on_ray.cluster import RayCluster

__all__ = ["RayCluster"]
