from streamlog.clients.accumulator import PartitionQueue as PartitionQueue
from streamlog.clients.accumulator import RecordAccumulator as RecordAccumulator
from streamlog.clients.accumulator import TopicTarget as TopicTarget
from streamlog.clients.batch import ProducerBatch as ProducerBatch
from streamlog.clients.batch import RecordFuture as RecordFuture
