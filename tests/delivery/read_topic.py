"""Prints what a topic of Kafka holds, a line of JSON for each message. kafka-python shares no code with librdkafka.

usage: read_topic.py HOST:PORT[,...] TOPIC
"""

import json
import sys

from kafka import KafkaConsumer, TopicPartition
from kafka.partitioner.default import murmur2

# The version is said: the mock does not know the newest way of asking for it.
consumer = KafkaConsumer(
    bootstrap_servers=sys.argv[1].split(","), enable_auto_commit=False, api_version=(2, 0, 0)
)
topic = sys.argv[2]
numbers = consumer.partitions_for_topic(topic) or set()
partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
ends = consumer.end_offsets(partitions)
consumer.assign(partitions)
consumer.seek_to_beginning(*partitions)
while any(consumer.position(it) < ends[it] for it in partitions):
    for messages in consumer.poll(timeout_ms=1000).values():
        for message in messages:
            json.dump(
                {
                    "partition": message.partition,
                    # Where a client in Java puts that key.
                    "expected": (murmur2(message.key) & 0x7FFFFFFF) % len(partitions),
                    "key": message.key.decode(),
                    "headers": {name: value.decode() for name, value in message.headers},
                    "value": message.value.decode(),
                },
                sys.stdout,
            )
            print()
