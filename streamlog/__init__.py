"""Apache Kafka's core as a library."""

from __future__ import annotations
