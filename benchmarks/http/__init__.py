"""Throughput and latency over HTTP: goals P9, P10 and P11, beside a Falcon application that does nothing."""
