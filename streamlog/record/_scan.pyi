from streamlog.record.scan import count_good_batches as count_good_batches
from streamlog.record.scan import scan_segment as scan_segment
