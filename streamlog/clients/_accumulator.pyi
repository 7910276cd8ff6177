from streamlog.clients.accumulator import PartitionQueue as PartitionQueue
from streamlog.clients.accumulator import ProducerBatch as ProducerBatch
from streamlog.clients.accumulator import RecordAccumulator as RecordAccumulator
from streamlog.clients.accumulator import RecordFuture as RecordFuture
from streamlog.clients.accumulator import TopicTarget as TopicTarget
