#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""consumer_program: what a beginner writes to consume with kafka-python (rows G1 to G4).

Started with the bootstrap address and a group. Prints each record of the topic user-events, and
the amount of a purchase; ends with Ctrl-C by closing its consumer.
"""
import json
import sys

from kafka import KafkaConsumer

consumer = KafkaConsumer(
    "user-events", bootstrap_servers=sys.argv[1], group_id=sys.argv[2],
    auto_offset_reset="earliest", enable_auto_commit=True, auto_commit_interval_ms=1000,
    key_deserializer=lambda key: key.decode() if key else None,
    value_deserializer=lambda value: json.loads(value.decode()))
try:
    for message in consumer:
        event = message.value
        print(message.topic, message.partition, message.offset, message.key, event["action"], flush=True)
        if event["action"] == "purchase":
            print("Amount:", event["amount"], flush=True)
except KeyboardInterrupt:
    print("stopped", flush=True)
finally:
    consumer.close()
