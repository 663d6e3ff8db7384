from __future__ import annotations

from loadtest.client.worker import main

main()
