"""The status page, its JSON interface and the figures for Prometheus, served by a thread of the service.

    browser → guard (Host, headers) → page, API, metrics → bridge → the service's loop → ledger, worker
                      uvicorn's thread                   │              the service's thread

The thread holds no state of its own and never touches the ledger: it asks, as `kakudai status` does through the
control socket, and the loop answers between two turns. `daemon.web.server` is the only module the service knows.
"""
