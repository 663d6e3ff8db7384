"""The admin server: what an operator, the kubelet and Prometheus ask of a sidecar.

Decisions are pure (`Desk.handle`), the rim is `server`. Whatever changes something is a POST.
"""
