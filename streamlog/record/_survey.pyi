from streamlog.record.batch import RecordBatch
from streamlog.record.survey import RecordSurvey

def survey_records(batch: RecordBatch, limit: int = ...) -> RecordSurvey: ...
