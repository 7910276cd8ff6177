"""Two record batch implementations that are not ours."""

from __future__ import annotations

import warnings

from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from aiokafka.record.default_records import DefaultRecordBatch as AiokafkaBatch
from aiokafka.record.default_records import DefaultRecordBatchBuilder as AiokafkaBuilder

with warnings.catch_warnings():
    # kafka-python reads its definitions through a function that Python 3.11 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.partitioner.default import murmur2 as kafka_python_murmur2
    from kafka.record.default_records import DefaultRecordBatch as KafkaPythonBatch
    from kafka.record.default_records import DefaultRecordBatchBuilder as KafkaPythonBuilder

__all__ = ["DECODERS", "ENCODERS", "aiokafka_murmur2", "kafka_python_murmur2"]

DECODERS = {"kafka-python": KafkaPythonBatch, "aiokafka": AiokafkaBatch}
ENCODERS = {"kafka-python": KafkaPythonBuilder, "aiokafka": AiokafkaBuilder}
