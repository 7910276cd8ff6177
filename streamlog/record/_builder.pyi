from streamlog.record.builder import RecordBatchBuilder as RecordBatchBuilder
