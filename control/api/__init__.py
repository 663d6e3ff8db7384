"""The REST API: Kubernetes' paths and verbs over the store, and what a mesh adds to them."""
