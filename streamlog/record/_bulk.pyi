from streamlog.record.bulk import encode_many as encode_many
from streamlog.record.murmur2 import murmur2 as murmur2
from streamlog.record.murmur2 import partition_for_key as partition_for_key
from streamlog.record.murmur2 import partition_many as partition_many
