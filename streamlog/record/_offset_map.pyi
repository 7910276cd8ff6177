from streamlog.record.offset_map import OffsetMap as OffsetMap
from streamlog.record.siphash import siphash128 as siphash128
