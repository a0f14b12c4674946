"""The main job from nothing: a Kubernetes, the operator by Helm, simulated cameras, and the report."""
