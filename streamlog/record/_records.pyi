from streamlog.record.batch import RecordBatch as RecordBatch
from streamlog.record.iterator import RecordIterator as RecordIterator
