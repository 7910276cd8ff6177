from streamlog.record.record import Record as Record
