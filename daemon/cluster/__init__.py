"""Segments on other machines, carried by a Ray cluster. Ray is an extra: only `agent` and what it starts import it.

    job's process ── pipe ── agent (the Ray driver) ── Ray ── a segment worker for each GPU, or each few CPUs
      crew.py                agent.py, workers.py             segment_actor.py, ready.py, node_sources.py
         └────────────────────── shared_folder.py ───────────────────────┘

The ledger on the service's machine stays the truth. Ray carries segments, which are pure functions of what they are
made of: any may be lost and made again, or made twice, and nothing is different for it. Who gets the next one, and who
is to blame for one that failed, is plain book-keeping (`roster`, `shares`, `tries`).
"""
