"""Apache Kafka beside us: its own tools and its own broker, as oracles for our files.

    jars.py     fetches Kafka with Maven into a user cache; runs a class of it, compiles one
    messages.py its classes for messages, asked through KafkaMessages.java: its own codec
    dump.py     Kafka's dump tool: what it reads from our files, and every complaint it has
    segment.py  segment files written by the plainest reading of the format
    samples.py  records that use what the format offers
    moving.py   partitions moved into a broker
    broker.py   a real single-node broker in a directory: format, start, stop, kill
    client.py   produce and consume through librdkafka: the reader that shares no code with us

Rules. Nothing here imports streamlog: an oracle that shares code with what it judges proves
nothing. Everything listens on 127.0.0.1 only. There are no sleeps: a broker is ready when it
says so on its output, and every wait has a deadline. What the dump tool prints is parsed
strictly: a line that is not understood is a complaint.

Not here: the tests. And no skipping: without `java` or `mvn` these tests fail and say what to
install, since a compatibility claim that nobody checked is not one.
"""
