from streamlog.record.batch_run import BatchRun as BatchRun
