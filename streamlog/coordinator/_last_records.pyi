from streamlog.coordinator.last_records import last_records as last_records
