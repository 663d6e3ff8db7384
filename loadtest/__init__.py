"""meshload: load and resilience tests for whatever answers HTTP, with or without a mesh before it.

Vocabulary. A **scenario** is a YAML file: **origins** (services of several **instances**, with a capacity), their
**faults** and **changes** over time, the **load** in **phases**, and what is **expected**. A **subject** is what stands
between the generator and the origins: nothing (`direct`), a mesh, another proxy, or an address that is already there. A
**run** is one scenario against one subject, and gives one **result**; a **comparison** is several of them in turns.

A **request** has an id; its **outcome** is what the caller saw of it (a status, or one word of `outcome.py`); an
**execution** is an origin doing its work. All times within a run are seconds since its start; latencies are counted in
microseconds from the intended start of a request, so that a stalled target cannot hide what it did to the requests that
should have been sent meanwhile (coordinated omission: Gil Tene, "How NOT to Measure Latency").

The generator shares no code with the mesh that it measures.
"""
