from streamlog.record.cleaning import clean_batches as clean_batches
