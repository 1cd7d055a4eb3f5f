"""What Kakudai's speed is, measured: `python -m tests.bench` writes docs/benchmarks.md; `python -m tests.bench.gpu`."""
