"""Reading a cluster: the only package that talks to a Kubernetes API."""
