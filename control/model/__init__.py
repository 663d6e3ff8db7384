"""Typed views of the Kubernetes objects that the mesh is configured by: decoding, strictness, precedence."""
