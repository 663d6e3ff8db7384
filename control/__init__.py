"""The control plane: Kubernetes-shaped objects in, the resources that sidecars need out."""
