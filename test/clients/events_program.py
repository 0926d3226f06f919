#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""events_program: what people write with kafka-python after reading its first page.

Four events with keys as far as they have one, JSON values, each awaited, to a topic that nobody
created. One argument: the address.
"""
import json
import sys

from kafka import KafkaProducer

EVENTS = [
    ("user_123", {"user_id": "user_123", "action": "page_view", "page": "/products"}),
    ("user_456", {"user_id": "user_456", "action": "purchase", "amount": 99.99}),
    ("user_123", {"user_id": "user_123", "action": "add_to_cart", "product_id": "prod_456"}),
    (None, {"user_id": None, "action": "heartbeat"}),
]

producer = KafkaProducer(
    bootstrap_servers=sys.argv[1],
    value_serializer=lambda v: json.dumps(v).encode("utf-8"),
    key_serializer=lambda k: k.encode("utf-8") if k else None,
    acks="all",
    retries=3,
)
for key, event in EVENTS:
    metadata = producer.send(topic="orders", key=key, value=event).get(timeout=10)
    print(json.dumps([metadata.topic, metadata.partition, metadata.offset]))
producer.flush()
producer.close()
print("All events produced successfully")
